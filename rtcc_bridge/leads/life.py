"""Everything that people do with a lead after its search, in the order of its life."""

from rtcc_bridge.leads.corroboration import CorroborationDesk
from rtcc_bridge.leads.earlier import EarlierSearchDesk
from rtcc_bridge.leads.examination import ExaminationDesk
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.leads.pictures import PictureViewer
from rtcc_bridge.leads.proficiency import ProficiencyDesk
from rtcc_bridge.leads.release import ReleaseDesk
from rtcc_bridge.leads.review import ReviewDesk
from rtcc_bridge.leads.standing import StandingDesk
from rtcc_bridge.leads.withdrawal import WithdrawalDesk
from rtcc_bridge.probes.picture_reader import PictureReader


class LeadLife:
    """The desks, each for its step. Acknowledging is `LeadDesk.acknowledge`."""

    def __init__(self, parts: LifeParts, workers: PictureReader) -> None:
        self.examination = ExaminationDesk(parts)
        self.review = ReviewDesk(parts)
        self.standing = StandingDesk(parts)
        self.release = ReleaseDesk(parts)
        self.pictures = PictureViewer(parts, workers, self.examination, self.review, self.release)
        self.corroboration = CorroborationDesk(parts)
        self.withdrawal = WithdrawalDesk(parts)
        self.proficiency = ProficiencyDesk(parts)
        self.earlier = EarlierSearchDesk(parts)
