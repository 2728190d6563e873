import yaml

from actors.edge.config import Config


def load_config(path):
    return Config.model_validate(yaml.safe_load(open(path)))


def check_config(path):
    return []
