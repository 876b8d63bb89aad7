"""What every role of the daemon and every command stands on: database, sealed objects, policy, outbox, audit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from rtcc_bridge.app.policy_order import require_no_earlier
from rtcc_bridge.app.template_keys import load_template_keys
from rtcc_bridge.audit.commitments import Commitments
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.audit.journal import AuditJournal
from rtcc_bridge.clock import Clock, SystemClock
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.policy.authority_keys import AuthorityKeys, load_authority_keys
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.opening import PolicyFiles, open_policy
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import DatabaseSettings, Settings
from rtcc_bridge.storage import restorations, schema
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.master_keys import MasterKeys, Withheld
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.open_master_keys import open_master_keys
from rtcc_bridge.telemetry.tracing import current_trace_id

_LONGEST_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Core:
    """What every role and every command shares."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    master_keys: MasterKeys
    vault: ObjectVault
    policy_in_force: PolicyInForce
    outbox: Outbox
    audit: AuditLog
    leads: LeadDesk
    authority_keys: AuthorityKeys
    gallery_keys: MasterKeys | None

    @property
    def policy(self) -> Policy:
        """The one in force at this moment."""
        return self.policy_in_force.current

    def probe_parts(self) -> ProbeParts:
        return ProbeParts(
            self.database,
            self.clock,
            self.policy_in_force,
            self.audit,
            self.outbox,
            self.leads,
            self.metrics,
            self.settings.kafka.topics,
            self.authority_keys,
        )


@asynccontextmanager
async def open_core(
    settings: Settings,
    *,
    restoring: bool = False,
    patience_seconds: float = 0.0,
    under_policy: bool = True,
    opens_templates: bool = True,
) -> AsyncIterator[Core]:
    """Opens the database (and brings it to this program's revision), the sealed objects and the policy.

    restoring: the caller finishes what a restoration has begun; nobody else may work with such a database.
    patience_seconds: how long a database that is away is tried again. under_policy: False for what no policy decides on
    and has to be possible although the policy has expired, as removing somebody from a gallery (P23). opens_templates:
    whether this process is one that is shown the master key of templates (P30).

    Raises ConfigurationError, also for a policy that P21 does not let decide, or UnavailableError.
    """
    clock, metrics = SystemClock(), Metrics(current_trace_id)
    lenient = not under_policy or settings.profile == "demo"
    policy = PolicyInForce(
        await asyncio.to_thread(open_policy, PolicyFiles.of(settings.policy), demo=lenient, now=clock.now())
    )
    async with AsyncExitStack() as stack:
        may_create = settings.profile == "demo"
        master_keys = await stack.enter_async_context(open_master_keys(settings.objects, may_create=may_create))
        loading = partial(load_template_keys, settings, opens_templates=opens_templates, may_create=may_create)
        gallery_keys = await asyncio.to_thread(loading)
        authority_keys = await asyncio.to_thread(load_authority_keys, settings)  # may follow from the master keys
        database = Database(settings.database)
        stack.push_async_callback(database.close)
        await _patiently(partial(schema.upgrade, database), patience_seconds)
        if not restoring:
            async with database.read() as tx:
                await restorations.require_finished(tx)
                if not lenient:
                    await require_no_earlier(tx, policy.current, clock.now())
        vault = ObjectVault(settings.objects, master_keys, clock, gallery_keys)
        await stack.enter_async_context(vault)
        outbox, commitments = Outbox(clock), Commitments(database, master_keys, clock)
        audit = AuditLog(clock, commitments, AuditJournal(settings.audit.journal_folder))
        leads = LeadDesk(database, outbox, audit, vault, settings.kafka.topics, settings.leads, metrics, clock, policy)
        yield Core(
            settings=settings,
            clock=clock,
            metrics=metrics,
            database=database,
            master_keys=master_keys,
            gallery_keys=None if isinstance(gallery_keys, Withheld) else gallery_keys,
            vault=vault,
            policy_in_force=policy,
            outbox=outbox,
            audit=audit,
            leads=leads,
            authority_keys=authority_keys,
        )


async def _patiently(opening: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Tries again while the database is away or fails over. Raises UnavailableError when that takes longer."""
    outage = OutageLog("opening the database")

    def tell(state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert error is not None
        outage.failed(error)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE_SECONDS),
        before_sleep=tell,
        reraise=True,
    )
    await retrying(opening)
    outage.succeeded()


async def upgrade_database(settings: DatabaseSettings) -> str:
    """Brings the database to this program's revision and returns it. Raises as `schema.upgrade` does."""
    database = Database(settings)
    try:
        await schema.upgrade(database)
    finally:
        await database.close()
    return schema.newest_revision()
