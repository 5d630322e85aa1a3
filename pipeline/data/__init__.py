"""Data sets: adapters, reading and quality, and the names that an adapter plug-in needs."""

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord, MetadataValue, ReadOptions, RejectedFile
from pipeline.data.reading.simulator_interface import SimulatedImage, SimulationRequest

__all__ = [
    "FileTree",
    "ImageRecord",
    "MetadataValue",
    "ReadOptions",
    "RejectedFile",
    "SimulatedImage",
    "SimulationRequest",
]
