"""The live page, build/course/live.html: the course's networks on any sound, in the reader's browser."""
