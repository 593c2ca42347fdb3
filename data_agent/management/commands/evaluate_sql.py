"""Measures the agent's proposals against queries that people wrote."""

import asyncio
import signal
import statistics
import time
from pathlib import Path
from typing import Any, get_args

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from data_agent import evaluation
from data_agent.errors import Unavailable
from data_agent.evaluation import BadCases, Case, Outcome, Prompt
from llm import registry

_BAR = 24


class Command(BaseCommand):
    """Ask the questions of a file and compare the rows with those of the gold queries."""

    help = (
        "Run questions through the data agent's proposal step and compare the rows of the proposed queries with those "
        "of the gold queries. Prints execution accuracy, the share that the guard blocked, latency and tokens."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--questions",
            type=Path,
            default=evaluation.QUESTIONS,
            metavar="FILE",
            help='JSON Lines with "question" and "gold_sql"; without it the questions that come with the project.',
        )
        parser.add_argument(
            "--provider", help="local, openai, gemini, ollama or scripted; without it those of LLM_SQL."
        )
        parser.add_argument(
            "--prompt",
            choices=("agent", "plain", "both"),
            default="agent",
            help="plain: the schema and the question and nothing else. both: both, in turns.",
        )
        parser.add_argument("--limit", type=int, metavar="N", help="Only the first N questions.")
        parser.add_argument("--details", action="store_true", help="List the questions that were not right.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure and print."""
        try:
            cases = evaluation.read(options["questions"])[: options["limit"]]
        except (OSError, BadCases) as error:
            raise CommandError(f"{options['questions']} cannot be used: {error}") from None
        if options["provider"]:
            _use(options["provider"])
        which: list[Prompt] = list(get_args(Prompt)) if options["prompt"] == "both" else [options["prompt"]]
        outcomes: list[Outcome] = []
        # `timeout` and service managers end with SIGTERM: what was measured until then is printed too.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            asyncio.run(self._evaluate(cases, which, outcomes))
        except KeyboardInterrupt:
            if not outcomes:
                raise
            self.stdout.write(f"Stopped after {len(outcomes)} of {len(cases) * len(which)}.")
        except (BadCases, Unavailable) as error:
            raise CommandError(str(error)) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        if options["details"]:
            self._list_misses(outcomes)
        for line in table(outcomes, which):
            self.stdout.write(line)

    async def _evaluate(self, cases: list[Case], which: list[Prompt], outcomes: list[Outcome]) -> None:
        started = time.monotonic()
        try:
            async for outcome in evaluation.evaluate(cases, which):
                outcomes.append(outcome)
                self._progress(len(outcomes), len(cases) * len(which), outcomes, time.monotonic() - started)
        finally:
            await registry.aclose()
            self.stderr.write("")

    def _progress(self, done: int, total: int, outcomes: list[Outcome], seconds: float) -> None:
        last = outcomes[-1]
        mark = "right" if last.right else ("nearly" if last.nearly else "wrong")
        said = f"{done:>4} {last.prompt:<6} {mark:<7}{last.seconds:>6.1f} s  {last.case.question[:80]}"
        bar = f"[{'#' * (_BAR * done // total)}".ljust(_BAR + 1, ".") + f"] {done}/{total}"
        right = ", ".join(
            f"{prompt} {sum(outcome.right for outcome in group)} of {len(group)}"
            for prompt, group in by_prompt(outcomes).items()
        )
        left = round(seconds / done * (total - done))
        self.stderr.write(f"\r{said:<100}")
        self.stderr.write(f"{bar}, right: {right}, about {left} s left", ending="")
        self.stderr.flush()

    def _list_misses(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if not outcome.right:
                sql = " ".join(outcome.sql.split())
                self.stdout.write(f"{outcome.prompt}: {outcome.case.question}\n  {outcome.problem}\n  {sql}\n")


def table(outcomes: list[Outcome], which: list[Prompt]) -> list[str]:
    """Return the figures as lines, a column for each prompt."""
    groups = by_prompt(outcomes)
    measured = [prompt for prompt in which if prompt in groups]
    columns = [_figures(groups[prompt]) for prompt in measured]
    lines = [" " * 34 + "".join(f"{prompt:>20}" for prompt in measured)]
    lines += [f"{name:<34}" + "".join(f"{column[name]:>20}" for column in columns) for name in columns[0]]
    return lines


def by_prompt(outcomes: list[Outcome]) -> dict[Prompt, list[Outcome]]:
    """Return the outcomes under each prompt."""
    groups: dict[Prompt, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.prompt, []).append(outcome)
    return groups


def _figures(outcomes: list[Outcome]) -> dict[str, str]:
    seconds = sorted(outcome.seconds for outcome in outcomes)
    queries = sum(outcome.queries for outcome in outcomes)
    return {
        "execution accuracy": _share(sum(outcome.right for outcome in outcomes), len(outcomes)),
        "the same with columns too many": _share(sum(outcome.nearly for outcome in outcomes), len(outcomes)),
        "no query that can run": _share(
            sum(bool(outcome.problem) and outcome.problem != "other rows" for outcome in outcomes), len(outcomes)
        ),
        "a verified question stood in": _share(
            sum(outcome.source == "verified" for outcome in outcomes), len(outcomes)
        ),
        "the model's queries": f"{queries}",
        "blocked by the guard": _share(sum(outcome.blocked for outcome in outcomes), queries),
        "latency, median": f"{statistics.median(seconds):.2f} s",
        "latency, nine in ten within": f"{seconds[max(0, -(-len(seconds) * 9 // 10) - 1)]:.2f} s",
        "tokens for each question": f"{statistics.fmean(outcome.tokens for outcome in outcomes):,.0f}",
    }


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "0 of 0"


def _use(provider: str) -> None:
    """Let that provider alone write SQL in this process."""
    try:
        registry.build(provider, "sql")
    except (AssertionError, ValueError):
        raise CommandError(
            f"The provider {provider!r} is not set up here. Name one of local, openai, gemini, ollama or scripted, and "
            "set its address or key; .env.example lists them."
        ) from None
    settings.LLM_CHAINS = {**settings.LLM_CHAINS, "sql": (provider,)}
