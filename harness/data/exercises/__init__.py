"""Exercises that a program makes up: questions with one right answer, for training text and for asking."""

from harness.data.exercises.catalog import EXERCISES, Exercises, build_exercises
from harness.data.exercises.exercise import Exercise, is_held_out

__all__ = ["EXERCISES", "Exercise", "Exercises", "build_exercises", "is_held_out"]
