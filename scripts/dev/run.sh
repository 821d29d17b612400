# ./dev run and ./dev story: the service on this machine, with a sample, until Ctrl-C.

default_data=/var/lib/atelier
default_port=8443

# Sets data, port, sample from the options of run and story.
parse_run_options() {
  data=$default_data port=$default_port sample=yes
  while [ $# -gt 0 ]; do
    case $1 in
      --data) data=$(realpath -m "${2:?--data needs a folder}"); shift 2 ;;
      --port) port=${2:?--port needs a number}; shift 2 ;;
      --no-sample) sample=no; shift ;;
      *) echo "dev: unknown option '$1'; see ./dev help" >&2; return 2 ;;
    esac
  done
}

started_pids=()

# Ends what this script started, in the opposite order, each by its process id.
stop_all() {
  trap '' INT TERM
  local index pid
  for ((index = ${#started_pids[@]} - 1; index >= 0; index--)); do
    pid=${started_pids[index]}
    kill -TERM "$pid" 2>/dev/null || continue
    for _ in $(seq 600); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  done
}

pid_in() { tr -d '[:space:]' <"$1" 2>/dev/null; }

# Guests and image servers outlive atelierd on purpose; here they end with it.
stop_guests() {
  local pid_file pid name
  for name in $(virsh -c qemu:///system list --name 2>/dev/null); do
    virsh -c qemu:///system dumpxml "$name" 2>/dev/null | grep -q "$data/" && virsh -q -c qemu:///system destroy "$name" >/dev/null
  done
  for pid_file in "$data"/run/*.pid; do
    pid=$(pid_in "$pid_file") || continue
    grep -qa nbdkit "/proc/${pid:-0}/cmdline" 2>/dev/null && kill -TERM "$pid"
  done
  return 0
}

# libvirtd by the service manager where there is one, else by us.
start_libvirt() {
  timeout 60 virsh -q -c qemu:///system version >/dev/null 2>&1 && return 0
  if [ -d /run/systemd/system ]; then
    systemctl start libvirtd
    return
  fi
  mkdir -p "$data/run"
  local daemon
  for daemon in virtlogd libvirtd; do
    "$daemon" -d -p "$data/run/$daemon-own.pid"
    for _ in $(seq 100); do [ -s "$data/run/$daemon-own.pid" ] && break; sleep 0.1; done
    started_pids+=("$(pid_in "$data/run/$daemon-own.pid")")
  done
  timeout 60 virsh -q -c qemu:///system version >/dev/null
}

# The password of `admin`: given, or made once and kept where only root reads.
admin_password() {
  local kept=$data/admin-password
  if [ -n "${ATELIER_ADMIN_PASSWORD:-}" ]; then
    (umask 077 && printf '%s' "$ATELIER_ADMIN_PASSWORD" >"$kept")
  elif [ ! -s "$kept" ]; then
    (umask 077 && head -c 12 /dev/urandom | base64 | tr '+/' 'xy' >"$kept")
  fi
  cat "$kept"
}

tiny_image() {
  local image=build/tiny-image/tiny-generalized.qcow2
  if [ ! -f $image ]; then
    mkdir -p build/tiny-image
    packaging/tiny-image/build.sh $image generalized >/dev/null
  fi
  echo "$ROOT/$image"
}

# The command line, signed in to this server with a configuration of its own.
client() { XDG_CONFIG_HOME=$data/client ATELIER_CA=$data/ca.pem build/bin/atelier "$@"; }

make_sample() {
  client login --server "https://127.0.0.1:$port" --ca "$data/ca.pem" -u admin -p "$1" >/dev/null
  client account show contoso >/dev/null 2>&1 && return 0
  echo "dev: making the sample: lab account contoso, gallery contosogallery, image tiny-linux"
  client gallery create contosogallery --group contoso-rg --region japaneast >/dev/null
  client account create contoso --group contoso-rg --region japaneast >/dev/null
  client account attach contoso --gallery contosogallery >/dev/null
  client image upload "$(tiny_image)" --gallery contosogallery --name tiny-linux --os-state generalized --os-type linux \
    --region japaneast --region japanwest
}

dev_run() {
  parse_run_options "$@"
  if [ "$(id -u)" != 0 ]; then
    dev_build
    exec sudo --preserve-env=ATELIER_ADMIN_PASSWORD "$ROOT/dev" run "$@"
  fi
  dev_build
  mkdir -p "$data"
  chmod 711 "$data"
  trap 'stop_all; stop_guests' EXIT
  trap 'exit 0' INT TERM
  start_libvirt
  local password ready
  password=$(admin_password)
  ready=$data/run/listening
  mkdir -p "$data/run"
  : >"$ready"
  ATELIER_ADMIN_PASSWORD=$password setsid build/bin/atelierd --data "$data" --port "$port" --portal web/dist >"$ready" &
  local service=$!
  started_pids+=("$service")
  until grep -q listening "$ready"; do
    kill -0 "$service" 2>/dev/null || { echo "dev: atelierd ended; its last lines are above" >&2; return 1; }
    sleep 0.1
  done
  [ "$sample" = no ] || make_sample "$password"
  cat <<TEXT

  Atelier is at   https://127.0.0.1:$port
  CA file         $data/ca.pem
  sign in as      admin
  password        $password
  try             ./dev story --data $data --port $port
  Ctrl-C stops it; the data stays in $data

TEXT
  wait "$service"
}

dev_story() {
  parse_run_options "$@"
  python3 tests/journeys/story.py --url "https://127.0.0.1:$port" --ca "$data/ca.pem" --password "$(admin_password)" \
    --image "$(tiny_image)"
}
