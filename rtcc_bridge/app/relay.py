"""Wires the role relay: the feed's numbers, publishing, and the work that nobody asks for."""

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.audit import add_audit
from rtcc_bridge.app.galleries import retention_timer_for
from rtcc_bridge.app.incidents import provisional_desk_for
from rtcc_bridge.app.leads import life_parts_for
from rtcc_bridge.app.reports import misuse_watch_for
from rtcc_bridge.app.retention import purge_keeper_for
from rtcc_bridge.gallery.segment_watch import SegmentWatch
from rtcc_bridge.gallery.sent_watch import SentPictureWatch
from rtcc_bridge.leads.handover import ThirdExaminerWatch
from rtcc_bridge.leads.receiver_watch import ReceiverWatch
from rtcc_bridge.people.expiring import CertificateWatch
from rtcc_bridge.probes.clip_end import ClipKeeper
from rtcc_bridge.probes.reconciler import Reconciler
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.publishing.topic_readers import TopicReaderWatch
from rtcc_bridge.publishing.topic_rights import TopicRightsWatch
from rtcc_bridge.reports.act_counter import ActCounter
from rtcc_bridge.supervisor import Stage


async def add_relay(assembly: Assembly) -> None:
    """Raises ConfigurationError when no key is there to sign search requests with."""
    core = assembly.core
    core.authority_keys.require_signer()
    settings = core.settings
    relay = Relay(
        core.database, assembly.producer, settings.relay, core.metrics, core.clock, assembly.feed.on_feed_moved
    )
    for topic in (settings.kafka.topics.incidents, settings.kafka.topics.threats):
        core.metrics.event_to_floor_seconds.labels(topic)  # so that it is told from the start, at 0
    assembly.readiness["broker"] = relay.readiness
    assembly.add_part("relay", relay.run, relay.stop, Stage.RELAY)
    reconciler = Reconciler(core.probe_parts(), settings.leads, provisional_desk_for(core))
    assembly.add_part("reconciler", reconciler.run)
    assembly.add_part("third examiners", ThirdExaminerWatch(life_parts_for(core)).run)
    assembly.add_part("topic readers", TopicReaderWatch(core.database, settings.kafka, core.clock).run)
    assembly.add_part("topic rights", TopicRightsWatch(core.database, settings.kafka, core.clock).run)
    assembly.add_part("receiver watch", ReceiverWatch(core.database, core.clock, core.metrics).run)
    assembly.add_part(
        "certificates", CertificateWatch(core.database, core.clock, core.metrics, core.policy_in_force).run
    )
    assembly.add_part("segment watch", SegmentWatch(core.database, core.metrics).run)
    assembly.add_part("retention keeper", retention_timer_for(core).run)
    assembly.add_part("sent picture watch", SentPictureWatch(core.database, core.clock, core.metrics).run)
    assembly.add_part("purge keeper", purge_keeper_for(core).run)
    assembly.add_part("clip keeper", ClipKeeper(core.probe_parts(), core.vault).run)
    assembly.add_part("misuse watch", misuse_watch_for(core).run)
    assembly.add_part("act counter", ActCounter(core.database).run)
    await add_audit(assembly)
