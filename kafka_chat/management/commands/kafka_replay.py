"""`manage.py kafka_replay`: see kafka_chat/README.md."""

import asyncio
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Max, Min
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from redis.exceptions import RedisError

from kafka_chat import letters, replaying
from kafka_chat.clients import DeliveryFailed
from kafka_chat.console import Bar, table
from kafka_chat.replaying import GROUPS, GroupIsAtWork, Target

_EPILOG = """\
Nothing is changed before it has been shown: on a terminal you are asked, elsewhere --yes does it.

It is safe to do any of this, also twice, and while visitors chat. A worker claims a question's row before it answers,
and stores an answer only where there is none: a message that comes again finds its row finished and is passed over.
What is asked again costs the model's tokens again; the visitors' budgets are not charged.

examples:
  manage.py kafka_replay --failed --since 2h
  manage.py kafka_replay --failed --limit 100 --yes
  manage.py kafka_replay --group chatbot-persist --to-time 2026-03-01T12:00
  manage.py kafka_replay --group chatbot-categorise --to-earliest
  manage.py kafka_replay --dead-letters
  manage.py kafka_replay --dead-letters --dismiss --limit 10
"""
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


class Command(BaseCommand):
    """Does things again, after showing what."""

    help = "Asks failed questions again, reads a topic again from another place, or sends dead letters back."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the text below the options."""
        parser = super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--failed", action="store_true", help="ask failed questions again")
        what.add_argument("--group", choices=GROUPS, help="have this group's workers go on from another place")
        what.add_argument("--dead-letters", action="store_true", help="send dead letters back to their topics")
        parser.add_argument(
            "--since", type=_moment, metavar="TIME", help="with --failed: asked since then (2026-03-01T12:00, 90m, 2h)"
        )
        parser.add_argument(
            "--limit", type=_natural, metavar="N", help="with --failed and --dead-letters: so many, the oldest first"
        )
        parser.add_argument(
            "--dismiss", action="store_true", help="with --dead-letters: send them nowhere, and list them no more"
        )
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--to-time", type=_moment, metavar="TIME", help="to what was published since then (UTC)")
        where.add_argument("--to-offset", type=_natural, metavar="N", help="to this offset, in each partition")
        where.add_argument("--to-earliest", action="store_true", help="to the first message that is there")
        where.add_argument("--to-latest", action="store_true", help="to the end: leaves out what is waiting")
        parser.add_argument("--partition", type=_natural, metavar="N", help="with --group: this partition alone")
        parser.add_argument("--yes", action="store_true", help="do it, without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show what would happen, and do it where that is wanted."""
        self._yes: bool = options["yes"]
        _refuse_what_does_not_belong(options)
        try:
            if options["failed"]:
                self._ask_again(options["since"], options["limit"])
            elif options["group"]:
                self._reset(options["group"], _target(options), options["partition"])
            else:
                self._settle(options["limit"], dismiss=options["dismiss"])
        except (KafkaException, DeliveryFailed) as error:
            raise CommandError(f"Kafka cannot be reached, or refused: {error}. Try again; that is safe.") from None
        except RedisError as error:
            raise CommandError(f"Redis cannot be reached ({error}). Try again once it is back; that is safe.") from None

    def _ask_again(self, since: datetime | None, limit: int | None) -> None:
        ids = list(replaying.failed(since).values_list("message_id", flat=True)[:limit])
        reasons = (
            replaying.failed(since)
            .filter(message_id__in=ids)
            .order_by()
            .values("error")
            .annotate(number=Count("*"), first=Min("created_at"), last=Max("created_at"))
            .order_by("-number")
        )
        rows = [(each["number"], _time(each["first"]), _time(each["last"]), each["error"]) for each in reasons]
        self._show(("questions", "first asked", "last asked", "failed with"), rows)
        if self._is_wanted(len(ids), "failed questions", "will be asked again"):
            done = asyncio.run(_count(replaying.ask_again(ids), len(ids)))
            self.stdout.write(f"Asked again: {done}. The workers answer them now.")

    def _reset(self, group: str, target: Target, partition: int | None) -> None:
        moves = replaying.plan_reset(group, target, partition)
        if not moves:
            raise CommandError("There is no such partition, or no topic yet: a worker makes the topics at its start.")
        rows = []
        for move in moves:
            each = move.position
            stands = "no commit" if each.committed is None else str(each.committed)
            said = f"{move.again} again" if move.again >= 0 else f"{-move.again} left out"
            rows.append((each.partition, f"{each.low} to {each.high}", stands, move.target, said))
        self._show(("partition", "there", "group is at", "goes to", "messages"), rows)
        if replaying.is_at_work(group):
            raise CommandError(_at_work(group))
        if self._is_wanted(len(moves), f"partitions of {GROUPS[group]}", f"will be read anew by {group}"):
            try:
                replaying.reset(group, moves)
            except GroupIsAtWork:
                raise CommandError(_at_work(group)) from None
            self.stdout.write("Done. Start the workers again: they go on from there.")

    def _settle(self, limit: int | None, *, dismiss: bool) -> None:
        unsent = letters.unsent(limit)
        self._show(
            ("partition", "offset", "buried", "bytes", "goes back to", "reason"),
            [
                (each.partition, each.offset, _time(each.buried_at), each.size, each.topic or "nowhere", each.reason)
                for each in unsent
            ],
        )
        if dismiss:
            if self._is_wanted(len(unsent), "dead letters", "will be sent nowhere, and not be listed any more"):
                done = asyncio.run(_count(letters.dismiss(unsent), len(unsent)))
                self.stdout.write(f"Dismissed: {done}. Their questions stay as they are.")
        elif self._is_wanted(len(unsent), "dead letters", "will be sent back, and not be listed any more"):
            done = asyncio.run(_count(letters.send_back(unsent), len(unsent)))
            self.stdout.write(f"Sent back: {done}. What still cannot be read becomes a dead letter once more.")

    def _show(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self.stdout.write(table(names, rows))

    def _is_wanted(self, number: int, what: str, will: str) -> bool:
        """Say what would happen, and find out whether it shall."""
        if not number:
            self.stdout.write(f"There are no {what}. Nothing to do.")
            return False
        self.stdout.write(f"{number} {what} {will}.")
        if self._yes:
            return True
        if sys.stdin.isatty():
            return input("Do it? [y/N] ").strip().lower() in ("y", "yes")
        self.stdout.write("Nothing was changed. Add --yes to do it.")
        return False


def _refuse_what_does_not_belong(options: dict[str, Any]) -> None:
    targets = [name for name in ("to_time", "to_offset", "to_earliest", "to_latest") if _is_given(options[name])]
    if options["group"] and not targets:
        raise CommandError("Say where the group shall go: --to-time, --to-offset, --to-earliest or --to-latest.")
    strange = {"since": not options["failed"], "limit": bool(options["group"])}
    strange["dismiss"] = not options["dead_letters"]
    strange |= dict.fromkeys((*targets, "partition"), not options["group"])
    for name, is_strange in strange.items():
        if is_strange and _is_given(options[name]):
            raise CommandError(f"--{name.replace('_', '-')} does not go with this. See --help.")


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _target(options: dict[str, Any]) -> Target:
    if options["to_time"] is not None:
        return replaying.to_time(options["to_time"])
    if options["to_offset"] is not None:
        return replaying.to_offset(options["to_offset"])
    return replaying.to_earliest if options["to_earliest"] else replaying.to_latest


async def _count(steps: AsyncIterator[int], total: int) -> int:
    done = 0
    with Bar(total) as bar:
        async for number in steps:
            done += number
            bar.show(done)
    return done


def _at_work(group: str) -> str:
    return (
        f"{group} has live members, who would go on from where they are. Stop its workers, wait for the group's "
        "session to end (KAFKA_SESSION_TIMEOUT_MS), and run this again. Nothing was changed."
    )


def _moment(text: str) -> datetime:
    """Parse a time, UTC unless it says otherwise, or how long ago it was: 90m, 2h, 1d."""
    now = timezone.now()
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return now - timedelta(minutes=int(ago[1]) * _MINUTES[ago[2]])
    try:
        moment = parse_datetime(text) or parse_datetime(f"{text}T00:00")
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(f"{text!r} is no time. Write 2026-03-01T12:00 (UTC), or how long ago: 90m, 2h, 1d.")
    moment = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    if moment > now:
        raise ArgumentTypeError(f"{text!r} lies in the future.")
    return moment


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentTypeError(f"{text!r} is no number from 0 on.")
    return int(text)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
