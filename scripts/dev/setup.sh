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
  done <packaging/debian-packages.txt
}

install_debian_packages() {
  local missing
  missing=$(missing_packages)
  [ -z "$missing" ] && return 0
  echo "dev: installing $(wc -l <<<"$missing") Debian packages"
  as_root apt-get -o DPkg::Lock::Timeout=500 -qq update
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=500 -qq install -y \
    --no-install-recommends $missing </dev/null >/dev/null
}

# Node 20 or newer with npm: what is there, else Debian's own is too old and says so.
check_node() {
  local version
  version=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
  if [ "${version:-0}" -lt 20 ]; then
    echo "dev: Node.js 20 or newer with npm is needed to build the portal; found '$(node --version 2>/dev/null || echo none)'" >&2
    return 1
  fi
}

install_npm_packages() {
  local stamp=web/node_modules/.atelier-stamp
  if [ ! -f $stamp ] || ! cmp -s web/package-lock.json $stamp; then
    check_node
    echo "dev: installing the portal's npm packages"
    (cd web && npm ci --no-audit --no-fund --loglevel=error </dev/null)
    cp web/package-lock.json $stamp
  fi
}

dev_setup() {
  install_debian_packages
  install_npm_packages
}
