"""The package behind *From Tokens to Patches*, a course on vision transformers.

Flat, one idea a file, in teaching order:

tokenizers    characters, words, byte-level BPE: text into integers        lesson 1
positions     sinusoidal, learned, rotary, ALiBi, two-dimensional          lesson 2
attention     scaled dot products, masks, many heads                       lesson 3
transformer   feed-forward, encoder block, encoder                         lesson 4
vit           patches, the Vision Transformer, presets                     lessons 5, 6
cnn           convolution by hand, residual networks, presets              lesson 7
cvt           the Convolutional vision Transformer, presets                lesson 8
weights       published checkpoints and the course's own into these models
images        image files as they come: turned, gray, broken
data          text, digits and photographs that need no network
augmentation  crop, flip, erase, mixup, cutmix: on whole batches
kernels       the same results, faster: linear layers as convolutions
evaluation    loss, accuracy and all logits of a model; bfloat16
training      fit: the loop, its schedule, runs that go on where they were
features      feature vectors of images from any source, by any model      lesson 10
search        an index of vectors: exact, or approximate with FAISS        lesson 10
measures      calibration, similarity of layers, moved and shuffled images   lesson 9
transfer      what of a trained network learns again, and what stays        lesson 11
regions       regions of interest, proposals, a small detector             lesson 11
explain       attention maps, rollout, Grad-CAM, and their faithfulness    lesson 12
scale         the same training on Lightning, its costs and its launch     lesson 13
plotting      figures from plain arrays, each with its description in words
lesson        what a notebook needs around the teaching
progress      which exercises were passed, kept in the learner's own folder
checks        the exercise checks and what they say about wrong answers
experiments   the recorded studies behind `results/`

Importing `course_utils` imports none of them.
"""

__version__ = "0.1.0"
