from avsync.media.writers.comparison.file_facts import MATROSKA_CLUSTER, read_facts


def test_a_dolby_vision_record_is_looked_for_in_the_header_of_a_matroska_alone(make_clip):
    clip = make_clip("clip.mkv", duration_s=0.8, flashes=())
    assert not read_facts(clip).dolby_vision
    content = bytearray(clip.read_bytes())
    cluster = content.index(MATROSKA_CLUSTER)
    # Any four bytes occur in video, these too.
    content[cluster + 60 : cluster + 64] = b"dvcC"
    clip.write_bytes(content)
    assert not read_facts(clip, count_packets=False).dolby_vision
    # The name of the writing library stands for the record, which is of the header too.
    name = content.index(b"Lavf")
    content[name : name + 4] = b"dvcC"
    clip.write_bytes(content)
    assert name < cluster and read_facts(clip, count_packets=False).dolby_vision
