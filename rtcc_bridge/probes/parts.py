"""What the desks that work on probes share."""

from dataclasses import dataclass

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.authority_keys import AuthorityKeys
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.topic_settings import TopicSettings


@dataclass(frozen=True, slots=True)
class ProbeParts:
    """The database and everything that is written to it beside a probe."""

    database: Database
    clock: Clock
    policy_in_force: PolicyInForce
    audit: AuditLog
    outbox: Outbox
    leads: LeadDesk
    metrics: Metrics
    topics: TopicSettings
    authority_keys: AuthorityKeys

    @property
    def policy(self) -> Policy:
        """The one in force at this moment: asked for once in an act, which is then judged by that one alone."""
        return self.policy_in_force.current
