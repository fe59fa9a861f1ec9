#!/usr/bin/env bash
# Gives the project another name, in every file: stack/rename.sh harbour
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${1:-}
if [[ ! $name =~ ^[a-z][a-z0-9-]{1,30}$ ]]; then
    echo 'stack/rename.sh NAME: small letters, digits and dashes, a letter first' >&2
    exit 2
fi
variables=${name^^}
grep --recursive --files-with-matches --ignore-case --binary-files=without-match --null lookout . \
    --exclude-dir=.git --exclude-dir=target --exclude-dir=.lookout |
    xargs --null sed --in-place "s/LOOKOUT/${variables//-/_}/g; s/Lookout/${name^}/g; s/lookout/$name/g"
echo "Its name is $name now. See what changed: git diff --stat"
