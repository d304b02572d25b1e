#!/usr/bin/env bash
# Pictures of the report's page in a headless browser: on 1,280 pixels and on a phone, light and dark.
#
#   profiling/flights/screenshots.sh FOLDER [frames, 9,000 unless told]
#
# Needs Chromium or Chrome; BROWSER names another one of the kind.
set -euo pipefail
folder=$(realpath -m "${1:?"usage: $0 FOLDER [FRAMES]"}")
cd "$(dirname "$0")/../.."

browser=${BROWSER:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [[ -z $browser ]]; then
    echo "no Chromium and no Chrome: set BROWSER" >&2
    exit 1
fi

cargo run --release --locked -- --frames "${2:-9000}" --report "$folder"

shoot() {
    local name=$1 width=$2 height=$3 scheme=$4 profile
    profile=$(mktemp -d)
    "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
        --blink-settings="preferredColorScheme=$scheme" --window-size="$width,$height" \
        --screenshot="$folder/$name.png" "file://$folder/index.html" >"$folder/browser.log" 2>&1
    rm -rf "$profile"
    echo "$folder/$name.png"
}

# Blink's numbers of the schemes: 0 is dark and 1 is light.
shoot wide-light 1280 5800 1
shoot wide-dark 1280 5800 0
shoot phone-light 390 7400 1
shoot phone-dark 390 7400 0
