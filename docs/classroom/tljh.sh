#!/usr/bin/env bash
# The Littlest JupyterHub: the course on one server for a class of up to about a hundred.
#
# On a fresh Ubuntu (22.04 or newer) that nothing else runs on, change what is marked, then, in a clone of the course:
#
#   sudo bash docs/classroom/tljh.sh
#
# The same command again changes the settings, takes up a new version of the course, and starts over what was
# interrupted. It needs about 5 GB of disk, and 0.2 GB more for every participant.
set -euo pipefail
umask 022 # what root writes here, all may read

# --- change these -------------------------------------------------------------------------------------------------

ADMIN=teacher                  # becomes administrator, with the right to use sudo in a terminal
PARTICIPANTS="ada clara fanny" # who may log in. At the first login everyone chooses a password (7 characters or more)
DOMAIN=                        # the server's name, such as hub.example.org: it gets a certificate from Let's Encrypt
EMAIL=                         # where Let's Encrypt writes to, if a name is given
DATA_SETS=                     # research data sets that all may read, such as "fma_small gtzan": fetched once
PREPARED=                      # which of them are decoded once, too, such as "fma_small": load(..., prepared=...)

# --- change these only if you know why ----------------------------------------------------------------------------

REPOSITORY=https://github.com/dl4mir-course/dl4mir-course
BRANCH=main
MEMORY=2G             # a participant. JupyterHub's G is 1024 x 1024 x 1024 bytes
CORES=2               # that a participant may use at once: what the run times in README.md were measured on
COURSE=/opt/dl4mir    # the course and its .venv, which all share
DATA=/srv/data/dl4mir # the shared data, which only root writes to

if [ "$(id -u)" != 0 ]; then
  echo "Run this as root: sudo bash docs/classroom/tljh.sh" >&2
  exit 1
fi
if [ -n "$DOMAIN" ] && [ -z "$EMAIL" ]; then
  echo "Let's Encrypt wants an address to write to: set EMAIL in this script, too." >&2
  exit 1
fi

# 1. The hub, with its own JupyterLab and nbgitpuller (in /opt/tljh).
echo "== The Littlest JupyterHub"
curl --fail --silent --show-error --location https://tljh.jupyter.org/bootstrap.py | python3 - --admin "$ADMIN"

# 2. The course, from the lock, in a .venv as on every other machine. TLJH's own environment stays as it is, so that
#    neither can break the other; its Python (3.12) makes the .venv.
echo "== The course"
if [ -d "$COURSE/.git" ]; then
  git -C "$COURSE" fetch --depth 1 origin "$BRANCH"
  git -C "$COURSE" reset --hard FETCH_HEAD
else
  git clone --depth 1 --branch "$BRANCH" "$REPOSITORY" "$COURSE"
fi
PYTHON=/opt/tljh/user/bin/python /opt/tljh/user/bin/python "$COURSE/tools/course/setup_env.py"

# 3. Its kernel, under the name that the notebooks ask for. PYTHONPATH lets a participant's own clone come before the
#    shared copy: so solved exercises are noted in that clone (progress/), and who changes dl4mir_utils sees the change.
"$COURSE/.venv/bin/python" -m ipykernel install --sys-prefix --name python3 --display-name "Python 3 (DL4MIR)" \
  --env PYTHONPATH "\${HOME}/${REPOSITORY##*/}"

# 4. The shared data. Root owns it, all read it.
echo "== Data"
mkdir -p "$DATA"
for name in $DATA_SETS; do
  DL4MIR_DATA=$DATA "$COURSE/.venv/bin/dl4mir" data fetch "$name" --yes
done
for name in $PREPARED; do
  DL4MIR_DATA=$DATA "$COURSE/.venv/bin/dl4mir" data prepare "$name" --out "$DATA/prepared/$name"
done

# 5. Settings of the hub.
echo "== Settings"
tljh-config set limits.memory "$MEMORY"
tljh-config set limits.cpu "$CORES"
tljh-config set user_environment.default_app jupyterlab
tljh-config set services.cull.timeout 3600 # seconds: a server is stopped after an idle hour, not after ten minutes
tljh-config unset users.allowed 2> /dev/null || true # the list of an earlier run, if there is one
for name in $PARTICIPANTS; do
  tljh-config add-item users.allowed "$name" # with a list, nobody else can log in
done
if [ -n "$DOMAIN" ]; then
  tljh-config set https.enabled true
  tljh-config set https.letsencrypt.email "$EMAIL"
  tljh-config unset https.letsencrypt.domains 2> /dev/null || true
  tljh-config add-item https.letsencrypt.domains "$DOMAIN"
fi

# JUPYTER_PATH: here a server finds the course's kernel, and the parts for the browser that belong to its widgets.
# The others: TensorFlow starts a thread for each core of the machine, of which a participant has only some.
cat > /opt/tljh/config/jupyterhub_config.d/dl4mir.py <<CONFIG
c.Spawner.environment.update(
    {
        "JUPYTER_PATH": "$COURSE/.venv/share/jupyter",
        "DL4MIR_DATA": "$DATA",
        "TF_NUM_INTRAOP_THREADS": "$CORES",
        "TF_NUM_INTEROP_THREADS": "$CORES",
        "OMP_NUM_THREADS": "$CORES",
    }
)
CONFIG

tljh-config reload hub
tljh-config reload proxy
echo "Ready. Log in as $ADMIN now: whoever does it first chooses that password."
