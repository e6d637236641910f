"""One module a kind of task: `check_kind` before anything runs, `build_questions` when it is asked."""
