"""Send activity to `vidrecon live SESSION --decoder FILE --source tcp://127.0.0.1:5555`, a frame at a time.

Here the frames are those of a recorded trial (.npy, neurons x frames); put your microscope in their place. Needs numpy
and pyzmq:    python live_sender.py SESSION/data/responses/8.npy
"""

import json
import sys
import time

import numpy as np
import zmq

FRAME_RATE_HZ = 30.0

activity = np.load(sys.argv[1])
activity = activity[:, np.isfinite(activity).all(axis=0)]
socket = zmq.Context().socket(zmq.PUB)
socket.bind(sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5555")
time.sleep(1.0)  # who listens needs a moment to connect; what is sent before is lost

stream = f"recording {time.time():.0f}"  # another name, and numbers begin anew
began_s = time.time()
for number, frame in enumerate(activity.T):
    time.sleep(max(0.0, began_s + number / FRAME_RATE_HZ - time.time()))
    header = {"vidrecon": 1, "stream": stream, "number": number, "time_s": time.time()}
    socket.send_multipart([json.dumps(header).encode(), frame.astype("<f4").tobytes()])
socket.send_multipart([json.dumps({"vidrecon": 1, "end": True}).encode()])
time.sleep(1.0)  # until it has left
