"""What the invented shop sells, and to whom: brands, products and customers are made up."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of product: price and weight ranges (US dollars, kilograms) and what its `specs` may say."""

    name: str
    # What one of them is called.
    noun: str
    series: tuple[str, ...]
    prices: tuple[float, float]
    weights: tuple[float, float]
    # How often it is bought, against the others.
    demand: float
    specs: dict[str, tuple[Any, ...]]


BRANDS = ("Auralo", "Brisco", "Haldane", "Lumivar", "Norvik", "Oakhurst", "Pixely", "Sorrento", "Tamsin", "Velden")

CATEGORIES = (
    Category(
        "Laptops",
        "Laptop",
        ("Slate", "Meridian", "Atlas"),
        (549, 2899),
        (0.95, 2.8),
        0.8,
        {
            "ram_gb": (8, 16, 32, 64),
            "storage_gb": (256, 512, 1024, 2048),
            "screen_inches": (13.3, 14.0, 15.6, 16.0),
            "cpu_cores": (6, 8, 10, 12, 16),
            "battery_hours": (8, 10, 12, 15, 18),
        },
    ),
    Category(
        "Smartphones",
        "Smartphone",
        ("Pulse", "Vertex", "Nova"),
        (199, 1399),
        (0.15, 0.24),
        1.6,
        {
            "ram_gb": (4, 6, 8, 12),
            "storage_gb": (64, 128, 256, 512),
            "screen_inches": (6.1, 6.4, 6.7),
            "battery_mah": (3800, 4200, 4600, 5000),
            "5g": (True, True, False),
        },
    ),
    Category(
        "Tablets",
        "Tablet",
        ("Canvas", "Folio", "Leaf"),
        (149, 1099),
        (0.3, 0.75),
        0.8,
        {
            "storage_gb": (64, 128, 256),
            "screen_inches": (8.3, 10.4, 11.0, 12.9),
            "stylus": (True, False),
            "battery_hours": (9, 10, 12),
        },
    ),
    Category(
        "Headphones",
        "Headphones",
        ("Echo Ring", "Calm", "Drift"),
        (29, 449),
        (0.02, 0.35),
        2.2,
        {
            "wireless": (True, True, True, False),
            "noise_cancelling": (True, False),
            "battery_hours": (20, 24, 30, 40, 60),
            "type": ("over-ear", "on-ear", "in-ear"),
        },
    ),
    Category(
        "Monitors",
        "Monitor",
        ("Vista", "Panorama", "Clarity"),
        (129, 1199),
        (3.2, 9.5),
        0.9,
        {
            "screen_inches": (24, 27, 32, 34),
            "resolution": ("1920x1080", "2560x1440", "3840x2160"),
            "refresh_hz": (60, 75, 120, 144),
            "curved": (True, False, False),
        },
    ),
    Category(
        "Keyboards",
        "Keyboard",
        ("Tactile", "Quiet", "Compact"),
        (25, 229),
        (0.4, 1.3),
        1.7,
        {
            "layout": ("full size", "tenkeyless", "75%"),
            "switches": ("membrane", "linear", "tactile"),
            "wireless": (True, False),
            "backlight": (True, False),
        },
    ),
    Category(
        "Cameras",
        "Camera",
        ("Focal", "Horizon", "Frame"),
        (279, 2499),
        (0.3, 1.1),
        0.4,
        {
            "megapixels": (20, 24, 26, 33, 45),
            "video": ("1080p", "4K", "6K"),
            "stabilised": (True, False),
            "sensor": ("1 inch", "APS-C", "full frame"),
        },
    ),
    Category(
        "Smartwatches",
        "Watch",
        ("Orbit", "Tempo", "Stride"),
        (79, 799),
        (0.03, 0.08),
        1.2,
        {
            "battery_days": (1, 2, 5, 7, 14),
            "gps": (True, True, False),
            "water_resistance_m": (30, 50, 100),
            "screen_inches": (1.2, 1.4, 1.6),
        },
    ),
    Category(
        "Speakers",
        "Speaker",
        ("Boom", "Hearth", "Room"),
        (35, 599),
        (0.4, 6.5),
        1.2,
        {
            "power_watts": (10, 20, 40, 60, 120),
            "wireless": (True, True, False),
            "waterproof": (True, False),
            "battery_hours": (8, 12, 20, None),
        },
    ),
    Category(
        "Printers",
        "Printer",
        ("Press", "Page", "Ledger"),
        (69, 549),
        (3.9, 14.0),
        0.5,
        {
            "technology": ("inkjet", "laser"),
            "colour": (True, True, False),
            "pages_per_minute": (10, 15, 22, 30, 40),
            "duplex": (True, False),
        },
    ),
)

# Country: share of the customers, and the list its names come from.
COUNTRIES = {
    "United States": (24.0, "english"),
    "United Kingdom": (12.0, "english"),
    "Germany": (11.0, "german"),
    "France": (8.0, "french"),
    "Canada": (6.0, "english"),
    "India": (7.0, "indian"),
    "Brazil": (5.5, "portuguese"),
    "Spain": (5.0, "spanish"),
    "Italy": (5.0, "italian"),
    "Netherlands": (3.5, "german"),
    "Australia": (4.0, "english"),
    "Mexico": (3.0, "spanish"),
    "Japan": (3.0, "japanese"),
    "Sweden": (2.0, "nordic"),
    "Poland": (1.0, "polish"),
}

NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "english": (
        ("Alice", "Ben", "Chloe", "Daniel", "Emma", "George", "Hannah", "Jack", "Lily", "Noah", "Olivia", "Sam"),
        ("Adams", "Baker", "Carter", "Davis", "Evans", "Green", "Hill", "King", "Moore", "Parker", "Reed", "Young"),
    ),
    "german": (
        ("Anna", "Felix", "Greta", "Hanna", "Jan", "Jonas", "Klara", "Lena", "Lukas", "Mia", "Paul", "Tim"),
        (
            "Bauer",
            "Becker",
            "Fischer",
            "Hoffmann",
            "Keller",
            "Koch",
            "Lang",
            "Meyer",
            "Schulz",
            "Vogel",
            "Weber",
            "Wolf",
        ),
    ),
    "french": (
        ("Camille", "Chloé", "Hugo", "Jules", "Léa", "Louis", "Lucas", "Manon", "Nathan", "Paul", "Sarah", "Zoé"),
        (
            "Bernard",
            "Blanc",
            "Dubois",
            "Durand",
            "Fontaine",
            "Garnier",
            "Lambert",
            "Leroy",
            "Martin",
            "Moreau",
            "Petit",
        ),
    ),
    "indian": (
        ("Aarav", "Aditi", "Ananya", "Arjun", "Diya", "Ishaan", "Kavya", "Meera", "Neha", "Rahul", "Rohan", "Vikram"),
        ("Desai", "Gupta", "Iyer", "Joshi", "Kapoor", "Kumar", "Mehta", "Nair", "Patel", "Reddy", "Sharma", "Singh"),
    ),
    "portuguese": (
        (
            "Ana",
            "Beatriz",
            "Bruno",
            "Carla",
            "Diego",
            "Gabriel",
            "Helena",
            "João",
            "Larissa",
            "Mateus",
            "Pedro",
            "Rafael",
        ),
        (
            "Almeida",
            "Barbosa",
            "Cardoso",
            "Costa",
            "Lima",
            "Oliveira",
            "Pereira",
            "Ribeiro",
            "Rocha",
            "Santos",
            "Souza",
        ),
    ),
    "spanish": (
        ("Alba", "Carlos", "Carmen", "Diego", "Elena", "Javier", "Lucía", "Marta", "Mateo", "Pablo", "Sara", "Sofía"),
        ("Díaz", "Fernández", "García", "Gómez", "Hernández", "López", "Martínez", "Moreno", "Pérez", "Ruiz", "Torres"),
    ),
    "italian": (
        ("Alessia", "Andrea", "Chiara", "Davide", "Elisa", "Francesca", "Giulia", "Luca", "Marco", "Martina", "Paolo"),
        ("Bianchi", "Bruno", "Conti", "Costa", "Esposito", "Ferrari", "Gallo", "Greco", "Marino", "Ricci", "Romano"),
    ),
    "japanese": (
        ("Aoi", "Daichi", "Haruka", "Haruto", "Hina", "Kaito", "Misaki", "Ren", "Sakura", "Sota", "Yuki", "Yuto"),
        (
            "Ito",
            "Kato",
            "Kobayashi",
            "Nakamura",
            "Sasaki",
            "Sato",
            "Suzuki",
            "Takahashi",
            "Tanaka",
            "Watanabe",
            "Yamada",
        ),
    ),
    "nordic": (
        ("Alva", "Astrid", "Elsa", "Emil", "Erik", "Freja", "Karl", "Linnea", "Maja", "Nils", "Oskar", "Saga"),
        ("Andersson", "Berg", "Eriksson", "Holm", "Johansson", "Larsson", "Lind", "Nilsson", "Olsson", "Persson"),
    ),
    "polish": (
        ("Adam", "Agata", "Ewa", "Filip", "Jakub", "Kasia", "Maja", "Marek", "Ola", "Piotr", "Tomasz", "Zofia"),
        ("Kowalski", "Nowak", "Wójcik", "Zając", "Lewandowski", "Mazur", "Dudek", "Sikora", "Baran", "Pawlak"),
    ),
}
