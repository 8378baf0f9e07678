# Every target works in .venv, which the first one that needs it sets up (tools/course/setup_env.py).
# Variables: ONLY=05b (one notebook)  GPU=1 (TensorFlow for NVIDIA cards)  PYTHON=python3.12 (which Python)
# PORT=8765 (of make show)

ifeq ($(OS),Windows_NT)
  PY := .venv/Scripts/python.exe
else
  PY := .venv/bin/python
endif

# Settings, histories and small caches stay in this folder instead of the home folder.
export JUPYTER_CONFIG_DIR := $(CURDIR)/.home/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/.home/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.home/jupyter/runtime
export JUPYTERLAB_SETTINGS_DIR := $(CURDIR)/.home/jupyterlab/settings
export JUPYTERLAB_WORKSPACES_DIR := $(CURDIR)/.home/jupyterlab/workspaces
export IPYTHONDIR := $(CURDIR)/.home/ipython
export KERAS_HOME := $(CURDIR)/.home/keras
export MPLCONFIGDIR := $(CURDIR)/.home/matplotlib

# JupyterLab's question whether to fetch news, answered: a course that works offline asks for nothing.
NEWS := $(JUPYTERLAB_SETTINGS_DIR)/@jupyterlab/apputils-extension

PORT := 8765

.DEFAULT_GOAL := help
.PHONY: help course show lab doctor progress certificate test render lock clean env

help: ## show this list
	@echo "Deep learning for music information retrieval: a notebook course"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  ONLY=05b takes one notebook, GPU=1 installs TensorFlow for NVIDIA cards, PYTHON=python3.12 chooses the Python."

course: env ## run every notebook and write the HTML course, build/course/index.html (ONLY=05b: one)
	@"$(PY)" tools/course/course.py run $(if $(ONLY),--only $(ONLY))

show: env ## open the HTML course in the browser, from a server for this machine alone (PORT=8765)
	@test -f build/course/index.html || { echo "There is no HTML course yet: run make course first." >&2; exit 1; }
	@{ sleep 1; "$(PY)" -m webbrowser -t http://127.0.0.1:$(PORT)/; } >/dev/null & \
	  "$(PY)" -m http.server --bind 127.0.0.1 --directory build/course $(PORT)

lab: env ## open JupyterLab on the first notebook
	@mkdir -p "$(NEWS)" && echo '{"fetchNews": "false"}' > "$(NEWS)/notification.jupyterlab-settings"
	@"$(PY)" -m jupyterlab --LabApp.news_url=None \
	  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --ServerApp.root_dir="$(CURDIR)" \
	  --LanguageServerManager.autodetect=False $(LAB_ARGS) notebooks/00_start_here.ipynb

doctor: env ## check this machine
	@"$(PY)" -m dl4mir_utils doctor

progress: env ## show which exercises you have solved, and write a page of it
	@"$(PY)" -m dl4mir_utils progress

# In the environment, not in the command, so that quotation marks in a name do no harm.
certificate: export CERTIFICATE_NAME := $(value NAME)
certificate: export CERTIFICATE_FILE := $(value VERIFY)
certificate: env ## write a certificate of them (NAME="Ada Lovelace"), or verify one (VERIFY=file)
	@"$(PY)" -m dl4mir_utils certificate $(if $(VERIFY),--verify "$$CERTIFICATE_FILE",--name "$$CERTIFICATE_NAME")

# Two workers with one thread each: with more, they would wait for each other on two cores.
test: export TF_NUM_INTRAOP_THREADS := 1
test: export TF_NUM_INTEROP_THREADS := 1
test: export OMP_NUM_THREADS := 1
test: env ## check style, run the unit tests, every cell of every notebook, and the solutions
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .
	"$(PY)" -m pytest -q -n 2 --dist loadfile tests
	"$(PY)" -m pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks

render: env ## run the notebooks and store their outputs, badges and tables (maintainers; ONLY=05b: one)
	@"$(PY)" tools/course/course.py render $(if $(ONLY),--only $(ONLY))

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" --extra course --extra test $(if $(UPGRADE),--upgrade)

lock: env ## renew both lock files after a change of pyproject.toml (maintainers; UPGRADE=1: newest versions)
	"$(PY)" -m venv build/uv
	build/uv/bin/python -m pip install --quiet uv
	build/uv/bin/python -m uv pip compile $(LOCK_OPTIONS) --extra cpu pyproject.toml -o requirements.lock
	build/uv/bin/python -m uv pip compile $(LOCK_OPTIONS) --extra gpu --no-config -c requirements.lock \
	  pyproject.toml -o requirements-gpu.lock

clean: ## remove everything that was built, but not .venv
	rm -rf build .home .pytest_cache .ruff_cache dl4mir_utils.egg-info
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# Returns at once when .venv is complete. Tries the environment's own Python first: it starts fastest.
env:
	@mkdir -p .home
	@for python in "$(PY)" python3 python python3.13 python3.12 python3.11; do \
	  if "$$python" -c "" >/dev/null 2>&1; then exec "$$python" -S tools/course/setup_env.py; fi; \
	done; \
	echo "No Python was found. Install Python 3.11, 3.12 or 3.13, then run the same command again." >&2; exit 1
