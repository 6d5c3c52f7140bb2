"""TensorBoard: files that `tensorboard --logdir` finds below a folder of runs."""

from __future__ import annotations

from wenlu.rundir.events import Event
from wenlu.rundir.trackers.tracker import Sink, Subject, Tracker


class TensorBoardSink(Sink):
    def __init__(self, subject: Subject) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._began = subject.began
        self._writer = EventFileWriter(str(subject.folder))

    def write(self, event: Event) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Record
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        about = SummaryMetadata(summary_description=event.unit)
        if isinstance(event.value, str):
            about.plugin_data.plugin_name = "text"
            text = TensorProto(dtype=DT_STRING, string_val=[event.value.encode()])
            value = Summary.Value(tag=event.name, metadata=about, tensor=text)
        else:
            about.plugin_data.plugin_name = "scalars"
            value = Summary.Value(tag=event.name, metadata=about, simple_value=event.value)
        when = self._began + event.seconds
        self._writer.add_event(Record(step=event.step, wall_time=when, summary=Summary(value=[value])))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


TENSORBOARD = Tracker("tensorboard", "TensorBoard", "tensorboard", "tensorboard", TensorBoardSink)
