from digits.testing import ModuleTests


class TestShapes(ModuleTests):
    settings = ("experiment=shapes",)  # words as on the command line
    config_dir = "configs"


class TestDigits(ModuleTests):
    settings = ("model=cnn", "data.val_size=1000")
    config_dir = "configs"
