"""What has the operator asked for, and can it be had?"""
