"""One small parser per form of answer; `families.py` says which model family writes which."""
