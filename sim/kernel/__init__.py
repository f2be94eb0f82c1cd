"""What happens to the machine: Linux's rules, one module per subject.

Mechanisms say what they did, in lines of work, and how it ended; they know no prices and no time.
"""
