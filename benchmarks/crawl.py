"""Fill a raw store and publish nothing, with the settings of the environment: the first half of `iodm sync`."""

from pipelines.progress import Silent
from pipelines.run import extract
from pipelines.settings import load_settings

extract(load_settings(), Silent())
