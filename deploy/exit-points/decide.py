#!/usr/bin/env python3
"""An exit program for Portcullis: decides about logins and about what changes files, by a table.

As a program, started for each question (rules: `ask: {exec: [/usr/local/libexec/decide.py, TABLE]}`):

    echo '{"version":1,"moment":"login","user":"acme","client":"203.0.113.7:4711", ...}' | decide.py TABLE

As a server, which is faster (rules: `ask: {unix: /run/decide.sock}`):

    decide.py TABLE --listen /run/decide.sock

TABLE is a JSON file that is read anew for each question:

    {"frozen": false,
     "users": {"acme": {"from": ["203.0.113.0/24"], "login_as": {"user": "ftp-in", "password_file": "/etc/portcullis/ftp-in.password"},
                        "start_in": "/in/acme"},
               "bob": {"from": ["10.0.0.0/8"]}}}

Whatever goes wrong here ends with an exit status other than 0 (or no line), and Portcullis takes that for a no.
"""

import argparse
import ipaddress
import json
import os
import socketserver
import sys

CHANGES = {"write", "append", "delete", "rename", "mkdir", "rmdir", "attributes"}


def address_of(peer):
    """The address in `203.0.113.7:4711` or `[2001:db8::7]:4711`."""
    return ipaddress.ip_address(peer.rpartition(":")[0].strip("[]"))


def decide(question, table):
    """One question, one answer, both as dictionaries."""
    if question["version"] != 1:
        raise ValueError("questions of a version that is not known here")
    user = table["users"].get(question["user"])
    if question["moment"] == "login":
        if user is None:
            return {"answer": "deny", "reply": "530 You are not on the list; ask the help desk."}
        networks = [ipaddress.ip_network(network) for network in user.get("from", [])]
        if not any(address_of(question["client"]) in network for network in networks):
            return {"answer": "deny", "reply": "530 Not from this address."}
        granted = {key: user[key] for key in ("upstream", "login_as", "start_in") if key in user}
        return {"answer": "allow", **granted}
    if question["operation"] in CHANGES:
        if table.get("frozen"):
            return {"answer": "deny", "reply": "450 The month is being closed; try again tomorrow."}
        # null: which file it is can't be told.
        if question["path"] is None:
            return {"answer": "deny", "reply": "550 Name the file by its whole path."}
        return {"answer": "allow"}
    # Reading and listing is not asked about again in this session.
    return {"answer": "allow_session"}


def answer_line(line, table_path):
    with open(table_path, encoding="utf-8") as table:
        answer = decide(json.loads(line), json.load(table))
    return (json.dumps(answer) + "\n").encode()


def serve(path, table_path):
    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self):
            # An exception ends this connection without an answer, and is shown on standard error.
            self.wfile.write(answer_line(self.rfile.readline(65536), table_path))

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    if os.path.exists(path):
        os.unlink(path)
    with Server(path, Handler) as server:
        # Portcullis has a user of its own: give the socket its group, and nobody else the right to connect.
        os.chmod(path, 0o660)
        server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--listen", metavar="PATH")
    arguments = parser.parse_args()
    if arguments.listen:
        serve(arguments.listen, arguments.table)
    else:
        sys.stdout.buffer.write(answer_line(sys.stdin.buffer.readline(), arguments.table))


if __name__ == "__main__":
    main()
