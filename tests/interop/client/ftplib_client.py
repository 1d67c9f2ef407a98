"""Does one thing with ftplib: host port user password mode directory action arguments."""

import ftplib
import os
import socket
import sys

host, port, user, password, mode, directory, action, *names = sys.argv[1:]


class Client(ftplib.FTP):
    """Negotiates as it is told; by itself ftplib takes EPSV and EPRT over IPv6 only."""

    def makepasv(self):
        if mode == "EPSV":
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return super().makepasv()

    def makeport(self):
        own = self.sock.getsockname()[0]
        listener = socket.create_server((own, 0), family=self.af, backlog=1)
        listener.settimeout(self.timeout)
        send = self.sendeprt if mode == "EPRT" else self.sendport
        send(own, listener.getsockname()[1])
        return listener


def get(client, remote, local, rest=None):
    """Downloads a file, behind what is held already if it is resumed."""
    with open(local, "ab" if rest else "wb") as file:
        client.retrbinary("RETR " + remote, file.write, blocksize=1 << 18, rest=rest)


def put(client, local, remote, verb="STOR ", skip=None):
    """Uploads a file, or the end of it."""
    with open(local, "rb") as file:
        file.seek(skip or 0)
        client.storbinary(verb + remote, file, blocksize=1 << 18, rest=skip)


with Client(timeout=30, encoding="utf-8") as client:
    client.set_debuglevel(1)
    client.connect(host, int(port))
    client.login(user, password)
    client.set_pasv(mode in ("EPSV", "PASV"))
    client.cwd(directory)
    if action == "list":
        client.retrlines("LIST")
    elif action == "get":
        get(client, *names)
    elif action == "put":
        put(client, *names)
    elif action == "append":
        put(client, *names, verb="APPE ")
    elif action == "resume_get":
        get(client, *names, rest=os.path.getsize(names[1]))
    elif action == "resume_put":
        put(client, *names[:2], skip=int(names[2]))
    elif action == "rename":
        client.rename(*names)
    elif action == "delete":
        client.delete(*names)
    elif action == "mkdir":
        client.mkd(*names)
    elif action == "rmdir":
        client.rmd(*names)
    elif action == "get_many":
        client.cwd(names[0])
        os.mkdir(names[0])
        # Pure-FTPd names "." and ".." too.
        for name in set(client.nlst()) - {".", ".."}:
            get(client, name, os.path.join(names[0], name))
    elif action == "put_many":
        client.cwd(names[0])
        for name in sorted(os.listdir(names[0])):
            put(client, os.path.join(names[0], name), name)
    else:
        sys.exit("no such action: " + action)
    client.quit()
