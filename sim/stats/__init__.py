"""Estimators and closed forms; knows nothing of machines, only numbers."""
