"""Facts about MNIST: its images, its four files and their MD5 sums."""

DATA_MODULE = "digits.data.datamodule.MNISTDataModule"
SIDE = 28  # pixels
CLASSES = 10
TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
MD5 = {
    TRAIN[0]: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    TRAIN[1]: "d53e105ee54ea40749a09fcbcd1e9432",
    TEST[0]: "9fb629c4189551a2d022fa330f9573f3",
    TEST[1]: "ec29112dd5afa0611ce80d1b7f02629c",
}
MAX_BYTES = 2 * 9_912_422  # twice the largest file
