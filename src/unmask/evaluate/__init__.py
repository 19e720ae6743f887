"""Is it right, and how fast?"""
