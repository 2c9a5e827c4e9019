"""What is being upgraded: vendors, models, device types, versions, and how often an upgrade truly succeeds.

The rule: a device of one model that is upgraded to one version succeeds at its first attempt with the probability

    true rate = 1 - (model's failure rate) x (version's factor)

Of the devices that fail, half succeed when their task is retried (`RECOVERY`), and so on with each further retry.
Devices of one task fail together a bit: 8 % of tasks have bad luck, and five times the failure rate (at most 0.9);
the others have less, so that the mean over tasks is the true rate. A task that is stopped early has attempted only some
of its devices, each with the same probability.
"""

from dataclasses import dataclass

import numpy as np

RECOVERY = 0.5
TIMEOUT_SHARE = 0.3
BAD_LUCK_SHARE, BAD_LUCK_FACTOR, BAD_LUCK_LIMIT = 0.08, 5.0, 0.9
KINDS = ("firmware_upgrade", "software_upgrade")
VERSIONS = (("V1.1.10", "V1.2.0", "V1.2.4", "V2.0.0-rc1"), ("3.18.2", "4.0.0", "4.0.1", "4.1.0"))
_VERSION_FACTORS = np.array([[1.0, 0.7, 0.5, 2.5], [1.1, 2.0, 0.6, 0.9]])


@dataclass(frozen=True)
class Product:
    """A model of a vendor. `counts_timeouts_as_fail`: its counter `fail` contains the timeouts (quirk 5)."""

    manufacturer_name: str
    model: str
    device_type: str
    failure_rate: float
    counts_timeouts_as_fail: bool


PRODUCTS = (
    Product("Meridian", "MW-200", "WaterMeter", 0.04, counts_timeouts_as_fail=False),
    Product("Meridian", "MW-310", "WaterMeter", 0.09, counts_timeouts_as_fail=False),
    Product("Hanlux", "Lumen 4+", "StreetLight", 0.02, counts_timeouts_as_fail=True),
    Product("Hanlux", "Lumen 6", "StreetLight", 0.05, counts_timeouts_as_fail=True),
    Product("Gastronic", "G4-NB", "GasMeter", 0.12, counts_timeouts_as_fail=False),
    Product("Gastronic", "G6-NB", "GasMeter", 0.07, counts_timeouts_as_fail=False),
    Product("Ångström Mätare", "ÅM-7", "ElectricityMeter", 0.03, counts_timeouts_as_fail=False),
    Product("Ångström Mätare", "ÅM-9", "ElectricityMeter", 0.15, counts_timeouts_as_fail=True),
    Product("ParkSense", "PS/1", "ParkingSensor", 0.10, counts_timeouts_as_fail=False),
    Product("ParkSense", "PS/2", "ParkingSensor", 0.06, counts_timeouts_as_fail=False),
    Product("Tracklet", "TL-500", "Tracker", 0.20, counts_timeouts_as_fail=True),
    Product("Tracklet", "TL-500", "AssetTag", 0.16, counts_timeouts_as_fail=False),
    Product("Smoke & Co", "SD-NB1", "SmokeDetector", 0.05, counts_timeouts_as_fail=False),
    Product("Smoke & Co", "SD-NB2", "SmokeDetector", 0.03, counts_timeouts_as_fail=False),
    Product("Hydra", "Valve", "Valve", 0.08, counts_timeouts_as_fail=True),
    Product("Hydra", "MW-200", "WaterMeter", 0.11, counts_timeouts_as_fail=False),
)
_POPULARITY = 1 / np.arange(2, len(PRODUCTS) + 2)
PRODUCT_LIMITS = np.cumsum(_POPULARITY) / _POPULARITY.sum()
VERSION_LIMITS = np.array([0.25, 0.55, 0.9, 1.0])
TRUE_RATES = 1 - np.array([product.failure_rate for product in PRODUCTS])[:, None, None] * _VERSION_FACTORS[None, :, :]


@dataclass(frozen=True)
class TrueRate:
    """The probability of success at the first attempt, for everything that it depends on."""

    manufacturer_name: str
    model: str
    device_type: str
    operation_type: str
    file_version: str
    success_rate: float


def true_rates() -> list[TrueRate]:
    """Every model and version with its true success rate."""
    return [
        TrueRate(
            product.manufacturer_name, product.model, product.device_type, kind, version, float(TRUE_RATES[p, k, v])
        )
        for p, product in enumerate(PRODUCTS)
        for k, kind in enumerate(KINDS)
        for v, version in enumerate(VERSIONS[k])
    ]
