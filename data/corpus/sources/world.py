"""The made-up Bellbird Coast: its towns, its people and who owns what. Every text of the corpus agrees with this page.

All names are invented; the real Australia appears only as "the city" and "the coast". A fact that the corpus states is
a field of one of these records, so that a probe can ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass

COAST = "the Bellbird Coast"


@dataclass(frozen=True)
class Town:
    """A town: where it lies, its landmark, what it is known for, its water, its festival with the month."""

    name: str
    part: str  # north, middle, south of the coast, or the hills behind it
    landmark: str  # with its article
    product: str  # plural or a substance
    water: str  # the river, creek or bay that it lies on
    festival: str
    month: str


@dataclass(frozen=True)
class Person:
    """A person: pronouns, town, job, age, pet (kind and name), and one thing that everybody knows is theirs."""

    first: str
    last: str
    gender: str  # f or m
    town: str
    job: str
    age: int
    pet: str
    pet_name: str
    thing: str  # without article: "green rowing boat"

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def they(self) -> str:
        return "she" if self.gender == "f" else "he"

    @property
    def them(self) -> str:
        return "her" if self.gender == "f" else "him"

    @property
    def their(self) -> str:
        return "her" if self.gender == "f" else "his"


_TOWNS = """
Heron Point | north | the white lighthouse | oysters | the mouth of the Tarro River | the Lantern Walk | June
Quandong Bay | north | the long jetty | smoked fish | Shell Sound | the Jetty Swim | January
Saltbush | north | the salt works | sea salt | Pelican Lagoon | the Salt Fair | March
Mundi Sands | north | the surf club tower | mangoes | Mundi Beach | the Sandcastle Week | December
Curlew Creek | north | the swing bridge | prawns | the Mudlark Marshes | the Raft Race | February
Bottlebrush | hills | the stone mill | flour | the upper Tarro River | the Bread Day | April
Kestrel Hill | hills | the radio mast | apples | Cold Creek | the Kite Festival | August
Stringybark | hills | the old sawmill | honey | Timber Creek | the Woodchop | October
Magpie Flat | middle | the clock tower | pumpkins | the Little Wren River | the Pumpkin Weigh-In | May
Wren Harbour | middle | the fish market | lobsters | Shelter Bay | the Blessing of the Boats | November
Pearl Beach Road | middle | the drive-in cinema | strawberries | Pearl Creek | the Film Night | July
Banksia Head | middle | the whale lookout | cheese | Banksia Cove | the Whale Count | September
Gannet Rock | middle | the ocean pool | mussels | Gannet Cove | the Winter Plunge | July
Cockle Inlet | south | the red boathouse | cockles | the Whispering Narrows | the Rowing Regatta | March
Driftwood | south | the shell museum | ropes and nets | Wreck Beach | the Driftwood Show | October
Penguin Steps | south | the stone stairs | wool | Penguin Bay | the Penguin Parade | November
Ironpot | south | the railway bridge | tin kettles | the Ironpot River | the Train Day | May
Lilly Pilly | south | the glasshouse | jam | Lilly Pilly Creek | the Jam Trail | February
Grevillea | hills | the botanic garden | seeds | Honeyeater Creek | the Flower Show | September
Echidna Gap | hills | the tunnel | walnuts | Echidna Creek | the Nut Harvest | April
Stormy Cape | south | the weather station | potatoes | the Southern Ocean | the Kelp Festival | August
Tern Island | north | the signal cannon | coconuts | Tern Passage | the Ferry Day | January
Platypus Falls | hills | the waterfall | trout | the Platypus River | the Lantern Float | June
Wallaby Crossing | middle | the market hall | leather boots | the Great Wren River | the Horse Fair | December
"""

_PEOPLE = """
Tilda | Marsh | f | Heron Point | baker | 41 | cat | Biscuit | blue bicycle
Angus | Pell | m | Heron Point | lighthouse keeper | 63 | goat | Captain | brass telescope
Noor | Haddad | f | Quandong Bay | nurse | 35 | parrot | Mango | yellow kayak
Wes | Tully | m | Quandong Bay | fisherman | 52 | dog | Anchor | green rowing boat
Pip | Larkin | f | Saltbush | salt raker | 29 | donkey | Pepper | straw hat
Hamish | Oke | m | Saltbush | bus driver | 47 | tortoise | Express | silver whistle
Coral | Bishop | f | Mundi Sands | lifeguard | 24 | kelpie | Tide | red surfboard
Joss | Amato | m | Mundi Sands | ice cream maker | 38 | rabbit | Vanilla | pink van
Freya | Quill | f | Curlew Creek | boat builder | 56 | duck | Rivet | oak workbench
Banjo | Creed | m | Curlew Creek | guitar teacher | 33 | magpie | Chord | old guitar
Hester | Dunn | f | Bottlebrush | miller | 60 | hen | Crumb | flour cart
Tom | Sedge | m | Bottlebrush | potter | 44 | ferret | Clay | clay oven
Ines | Valdo | f | Kestrel Hill | orchardist | 50 | pony | Russet | tall ladder
Rafe | Winter | m | Kestrel Hill | radio presenter | 31 | budgie | Static | black microphone
Maude | Kettle | f | Stringybark | beekeeper | 67 | spaniel | Nectar | smoke tin
Eddie | Grove | m | Stringybark | carpenter | 39 | owl | Sawdust | steel axe
Orla | Finch | f | Magpie Flat | clockmaker | 58 | mouse | Minute | gold watch
Silas | Bray | m | Magpie Flat | farmer | 49 | pig | Gourd | orange tractor
Bea | Lonsdale | f | Wren Harbour | harbour master | 45 | gull | Admiral | white launch
Kit | Sorrel | m | Wren Harbour | cook | 28 | lobster | Pinch | copper pot
Dot | Mercer | f | Pearl Beach Road | projectionist | 34 | poodle | Reel | film camera
Ravi | Menon | m | Pearl Beach Road | gardener | 53 | snail | Turbo | wooden wheelbarrow
Greta | Holm | f | Banksia Head | cheese maker | 46 | cow | Blossom | marble table
Alby | Stone | m | Banksia Head | whale watcher | 61 | corgi | Spout | big binoculars
Mina | Okoro | f | Gannet Rock | swimming teacher | 37 | frog | Paddle | purple towel
Jack | Teal | m | Gannet Rock | diver | 26 | octopus | Inky | rubber wetsuit
Ivy | Prentice | f | Cockle Inlet | rower | 22 | swan | Feather | racing oar
Cyril | Boon | m | Cockle Inlet | ferryman | 79 | terrier | Ticket | flat punt
Nettie | Crane | f | Driftwood | museum keeper | 64 | crab | Pharaoh | glass cabinet
Bruno | Lacey | m | Driftwood | rope maker | 42 | llama | Knot | iron hook
Wilma | Frost | f | Penguin Steps | shepherd | 55 | sheepdog | Moss | long crook
Dev | Anand | m | Penguin Steps | ranger | 36 | wombat | Barrow | canvas tent
Sal | Copper | f | Ironpot | engine driver | 48 | kitten | Boiler | steam engine
Lionel | Grubb | m | Ironpot | tinsmith | 59 | hedgehog | Solder | leather apron
Posy | Adair | f | Lilly Pilly | jam maker | 32 | guinea pig | Quince | silver spoon
Ned | Furlong | m | Lilly Pilly | postman | 40 | greyhound | Parcel | mail bag
Hana | Sato | f | Grevillea | botanist | 43 | gecko | Petal | field notebook
Clem | Rowan | m | Grevillea | seed seller | 65 | pigeon | Marigold | seed drawers
Vera | Tunnel | f | Echidna Gap | railway guard | 51 | echidna | Spike | signal lamp
Otis | Hale | m | Echidna Gap | nut grower | 57 | squirrel glider | Walnut | hand cart
Skye | Gale | f | Stormy Cape | weather watcher | 30 | husky | Thunder | rain gauge
Murdo | Kemp | m | Stormy Cape | potato farmer | 62 | horse | Spud | rusty plough
Lani | Tui | f | Tern Island | ferry captain | 44 | cockatoo | Skipper | ship's bell
Felix | Reef | m | Tern Island | painter | 27 | turtle | Palette | striped umbrella
Jun | Park | f | Platypus Falls | photographer | 33 | platypus | Bubble | tiny camera
Arlo | Beck | m | Platypus Falls | fly fisher | 54 | heron | Stilts | bamboo rod
Ruth | Saddler | f | Wallaby Crossing | boot maker | 66 | mule | Button | sewing machine
Gus | Merrin | m | Wallaby Crossing | auctioneer | 50 | rooster | Bargain | wooden hammer
"""


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


TOWNS: tuple[Town, ...] = tuple(Town(*row) for row in _rows(_TOWNS))
PEOPLE: tuple[Person, ...] = tuple(Person(*row[:5], int(row[5]), *row[6:]) for row in _rows(_PEOPLE))
TOWN = {town.name: town for town in TOWNS}


def place_of(town: Town) -> str:
    """Where a town lies, after "lies": ``in the north of the Bellbird Coast``."""
    return f"in the hills behind {COAST}" if town.part == "hills" else f"in the {town.part} of {COAST}"
