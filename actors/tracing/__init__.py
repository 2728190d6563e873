"""What happened, how long did it take and what did it cost?"""
