"""What start.py does before the course's packages are there: only the standard library is used in this folder."""
