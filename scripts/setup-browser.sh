#!/bin/sh
# Makes what scripts/browser/check-page.mjs needs: Chromium and Node of the system (Debian and its kin), and two packages of npm.
set -eu
cd "$(dirname "$0")/browser"
if ! command -v chromium >/dev/null; then
    apt-get install -y --no-install-recommends chromium fonts-dejavu-core
fi
if ! command -v npm >/dev/null; then
    apt-get install -y --no-install-recommends nodejs npm
fi
npm install --no-audit --no-fund
