#!/bin/sh
# Installs a Redis server for the tests with the system's package manager, if this user may; says what it does.
set -eu

if command -v redis-server || command -v valkey-server; then
    echo "A Redis server is installed already."
    exit 0
fi

# Homebrew refuses root; the others need it.
if command -v brew >/dev/null; then
    echo "Installing redis with Homebrew."
    exec brew install redis
fi

if [ "$(id -u)" -eq 0 ]; then
    may=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    may="sudo -n"
else
    echo "Not root, and sudo asks for a password: install redis-server yourself." >&2
    exit 1
fi

# --no-install-recommends, and no service: the tests start a private server of their own.
if command -v apt-get >/dev/null; then
    echo "Installing redis-server with apt-get."
    $may apt-get update -qq
    exec $may env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-server
fi
if command -v dnf >/dev/null; then
    echo "Installing valkey or redis with dnf."
    $may dnf install -q -y valkey || exec $may dnf install -q -y redis
    exit 0
fi

echo "No package manager that this script knows: install redis-server yourself." >&2
exit 1
