#!/bin/sh
# Hands a renewed certificate to Portcullis. Install as /etc/letsencrypt/renewal-hooks/deploy/portcullis.sh (mode 0755): certbot runs it
# after each renewal, with the certificate's directory in RENEWED_LINEAGE.
#
# With `pinholes.firewall: nftables` the broker reads files that only root may read: let the config name those in live/, and this only
# reloads. Without it the gateway has no such right: the files are copied to /etc/portcullis/tls, readable by the group `portcullis`.
#
# PORTCULLIS_COPY=no reloads only. With several certificates each gets a directory of its own, named as certbot names it.
set -eu

: "${RENEWED_LINEAGE:?this is run by certbot; by hand: RENEWED_LINEAGE=/etc/letsencrypt/live/ftp.example.org $0}"
group=${PORTCULLIS_GROUP:-portcullis}
target=${PORTCULLIS_TLS:-/etc/portcullis/tls}/$(basename "$RENEWED_LINEAGE")

if [ "${PORTCULLIS_COPY:-yes}" = yes ]; then
    install -d -m 0750 -o root -g "$group" "${target%/*}" "$target"
    # Each under another name, and then renamed: nobody ever reads half a file. Whoever looks between the two renames finds a pair that does
    # not match, refuses it, and keeps the old one until the reload below.
    for file in privkey.pem fullchain.pem; do
        install -m 0640 -o root -g "$group" "$RENEWED_LINEAGE/$file" "$target/.$file.new"
    done
    for file in privkey.pem fullchain.pem; do
        mv -f "$target/.$file.new" "$target/$file"
    done
fi

# A wrong file changes nothing: the old certificate stays in force, and this fails, which certbot reports.
if systemctl is-active --quiet portcullis.service; then
    portcullis ctl reload
fi
