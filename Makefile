.PHONY: install train test lint format

install:
	pip install -e '.[dev]'

train:
	python src/train.py

test:
	pytest

lint:
	ruff check .
	ruff format --check .
	mypy

format:
	ruff check --fix .
	ruff format .
