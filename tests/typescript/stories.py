"""Stories of actors on the published runner, told from the client's side. Run by tests/typescript/run."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "program"))

import actors  # noqa: F401  (stories register themselves)
import connections  # noqa: F401
import hibernation  # noqa: F401
import strangers  # noqa: F401
from harness import conclude, tell
from house import SHARED, SINGLE, house
from published import VERSIONS

AT_ONCE = 6  # stories that mostly wait


async def main():
    versions = [word for word in sys.argv[1:] if word in VERSIONS] or list(VERSIONS)
    words = [word for word in sys.argv[1:] if word not in VERSIONS]

    def chosen(functions):
        return [function for function in functions if not words or any(word in function.__name__ for word in words)]

    outcomes = []
    for version in versions:
        if shared := chosen(SHARED):
            async with house(version) as one:
                for function in shared:
                    outcomes.append(await tell(name(version, function), function(one)))
    turns = asyncio.Semaphore(AT_ONCE)

    async def one_of_many(title, telling):
        async with turns:
            return await tell(title, telling, together=True)

    tellings = [
        (name(version, function), function(version))
        for function, told_for in SINGLE
        for version in versions
        if function in chosen([function]) and told_for(version, versions[0])
    ]
    outcomes += await asyncio.gather(*(one_of_many(title, telling) for title, telling in tellings))
    conclude(outcomes)


def name(version, function):
    return f"{version}: {function.__name__.replace('_', ' ')}"


asyncio.run(main())
