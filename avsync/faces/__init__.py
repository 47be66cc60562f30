"""Detect faces, track them through a video, crop them for a model, and composite faces into frames.

A detector finds the faces in one image, `follow_faces` tracks them through the frames of a video,
and the `cut_*` functions crop what a model takes:

    from avsync.faces import cut_mouth, find_detector, follow_faces
    from avsync.media import at_rate, read_frames

    detector = find_detector()
    for tick in follow_faces(at_rate(read_frames("clip.mp4")), detector, detector.stride):
        mouths = [cut_mouth(tick.image, face.points, 96) for face in tick.faces]

`track_mesh` computes the face mesh of a tracked face, `region_from_points` and `cut_region` the
crops that the mesh network takes, and `MeshLandmarker` 68 landmarks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
