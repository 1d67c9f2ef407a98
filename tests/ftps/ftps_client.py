"""Fifty transfers over FTPS with ftplib: host port user password mode version reuse ca directory."""

import ftplib
import os
import socket
import ssl
import sys

host, port, user, password, mode, version, reuse, ca, directory = sys.argv[1:]


class Client(ftplib.FTP_TLS):
    """Negotiates as it is told, and resumes its control connection's session if it shall; by itself ftplib never does."""

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

    def ntransfercmd(self, cmd, rest=None):
        # As FTP_TLS does it, but for the session.
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        session = self.sock.session if reuse == "resume" else None
        connection = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        if reuse == "resume" and not connection.session_reused:
            sys.exit(cmd + ": the data connection did not resume the session")
        return connection, size


context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}[version]

with Client(timeout=30, encoding="utf-8", context=context) as client:
    client.set_debuglevel(1)
    client.connect(host, int(port))
    client.login(user, password)
    client.prot_p()
    client.set_pasv(mode in ("EPSV", "PASV"))
    client.cwd(directory)
    for name in sorted(os.listdir("up")):
        with open(os.path.join("up", name), "rb") as file:
            client.storbinary("STOR " + name, file)
    for name in sorted(os.listdir("up")):
        with open(os.path.join("down", name), "wb") as file:
            client.retrbinary("RETR " + name, file.write)
    client.quit()
