#!/bin/sh
# From raw exports of AWS IAM, S3, GitHub, Okta and Jamf to three answers: nine commands, and the three mapping files
# beside this script. $TOMBOLO is the program. $EXPORTS is a folder with a folder of exports for each tool; without it
# the small samples of this repository are taken.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exports=${EXPORTS:-$here/../../tests/data/sources}
program=$(command -v "${TOMBOLO:-tombolo}")
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tombolo() { "$program" -q --db "$folder/graph.redb" "$@"; }

cp -r "$exports"/aws-iam "$exports"/aws-s3 "$exports"/github "$exports"/okta "$exports"/jamf "$folder"
rm -f "$folder"/*/expected.json   # no export: what the tests of this repository expect
cd "$folder"

# One import is one tool and one scope. The same import tomorrow changes what differs.
{
    tombolo import aws-iam aws-iam --scope aws-iam
    tombolo import aws-s3  aws-s3  --scope aws-s3
    tombolo import github  github  --scope github
    tombolo import okta    okta    --scope okta
    tombolo import jamf    jamf    --scope jamf
    tombolo apply "$here"/*.toml
} > log

echo "Every laptop of the group SRE"
tombolo query 'FIND okta_user_group WITH displayName = "SRE" THAT HAS okta_user AS u THAT OWNS jamf_computer AS c
               RETURN c.displayName AS laptop, c.serialNumber AS serial, u.email AS user'

printf '\n%s\n' "Which repository deploys the bucket platform-assets"
tombolo query 'FIND github_repo AS r THAT DEPLOYS aws_s3_bucket WITH displayName = "platform-assets"
               RETURN r.fullName AS repository'

printf '\n%s\n' "Which data the role platform-api reaches, if it is compromised"
tombolo blast-radius aws-iam::arn:aws:iam::111122223333:role/platform-api --class DataStore
