# Boots systemd as the first process of a machine of its own: own processes, mounts, control groups and names, files in memory
# besides the programs of this machine, nothing of /sys and of /proc/sys but the network's to be written. Waits for a line first.
# Arguments: a directory to put it in, the program, and the folder `deploy`.
set -eu
if [ "${4-}" != inside ]; then
    read -r _
    exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child=KILL sh "$0" "$1" "$2" "$3" inside
fi
root=$1 program=$2 deploy=$3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p proc sys dev run tmp root var/log var/tmp usr/bin usr/.bin etc/systemd/system/portcullis.service.d etc/portcullis etc/sysusers.d

for part in lib lib32 lib64 libx32 sbin share; do
    if [ -d "/usr/$part" ]; then mkdir "usr/$part"; mount --bind "/usr/$part" "usr/$part"; fi
    if [ -L "/$part" ]; then cp -P "/$part" .; fi
done
cp -P /bin .
mount --bind /usr/bin usr/.bin
(cd usr/bin && ln -s ../.bin/* . && rm -f portcullis)
install -m 755 "$program" usr/bin/portcullis
cp /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/
echo 0123456789abcdef0123456789abcdef >etc/machine-id

# Of the units of this machine only the targets and the journal: nothing that would set up hardware or the kernel.
units=usr/lib/systemd/system
mount -t tmpfs tmpfs "$units"
cp /usr/lib/systemd/system/*.target /usr/lib/systemd/system/systemd-journald.service /usr/lib/systemd/system/systemd-journald*.socket "$units/"
install -m 644 "$deploy"/systemd/portcullis.service "$deploy"/systemd/portcullis.socket etc/systemd/system/
install -m 644 "$deploy"/systemd/portcullis.service.d/nftables.conf etc/systemd/system/portcullis.service.d/
install -m 644 "$deploy"/sysusers.d/portcullis.conf etc/sysusers.d/
systemd-sysusers --root="$root" portcullis.conf
cp "$root.yaml" etc/portcullis/portcullis.yaml
for wanted in multi-user.target/portcullis.service sockets.target/portcullis.socket; do
    mkdir -p "etc/systemd/system/${wanted%/*}.wants"
    ln -s "/etc/systemd/system/${wanted#*/}" "etc/systemd/system/${wanted%/*}.wants/"
done

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir .old
pivot_root . .old
umount -l .old
exec env -i container=laboratory PATH=/usr/sbin:/usr/bin NOTIFY_SOCKET="$NOTIFY_SOCKET" /usr/lib/systemd/systemd --system --unit=multi-user.target
