"""What kind of task does a question set?"""
