"""Word lists by what the words can do in a sentence; a pattern's {slot} draws from the list of the same name."""

from __future__ import annotations


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.replace("\n", " ").split(",") if item.strip()]


LISTS: dict[str, list[str]] = {
    name: _list(text)
    for name, text in {
        # places, with article
        "shore": """the beach, the jetty, the wharf, the breakwater, the boat ramp, the rock pools, the dunes, the boardwalk,
            the tidal flats, the headland, the cove, the sandbar, the lagoon, the reef, the slipway, the sea wall, the estuary,
            the mangroves, the fishing platform, the swimming enclosure, the pebble beach, the harbour steps""",
        "bush": """the gully, the ridge, the fire trail, the creek bed, the fern valley, the far paddock, the dam, the old quarry,
            the gum forest, the lookout, the picnic ground, the saddle of the hill, the wattle grove, the swamp, the stock route,
            the granite boulders, the cattle grid, the dry riverbed, the scrub, the plateau, the orchard gate, the ravine""",
        "shops": """the bakery, the post office, the library, the hardware store, the greengrocer, the chemist, the butcher,
            the bookshop, the milk bar, the laundromat, the newsagent, the barber, the florist, the cafe, the pub, the bank,
            the second-hand shop, the petrol station, the fish shop, the toy shop, the haberdashery, the cobbler""",
        "civic": """the town hall, the school, the hospital, the railway station, the bus stop, the church, the oval, the museum,
            the park, the playground, the police station, the fire station, the council office, the bowling club, the war memorial,
            the community garden, the bandstand, the courthouse, the scout hall, the theatre, the cemetery, the roundabout""",
        "room": """the kitchen, the shed, the verandah, the pantry, the attic, the laundry, the hallway, the cellar, the garage,
            the bathroom, the spare room, the lounge, the workshop, the stable, the greenhouse, the boathouse, the barn,
            the bedroom, the study, the chook house, the woodshed, the back porch""",
        # things, without article, singular
        "kitchen_thing": """saucepan, kettle, teapot, frying pan, wooden spoon, ladle, whisk, colander, breadboard, rolling pin,
            cake tin, mixing bowl, grater, peeler, sieve, jug, mug, saucer, platter, casserole dish, carving knife, corkscrew,
            tea towel, toaster, egg cup, butter dish, pepper mill, salt shaker, tray, bread bin, thermos, measuring cup""",
        "tool": """hammer, screwdriver, spanner, chisel, saw, mallet, drill, rake, spade, shovel, hoe, wheelbarrow, crowbar,
            pair of pliers, tape measure, spirit level, paintbrush, ladder, bucket, broom, mop, file, clamp, vice, axe,
            pitchfork, trowel, watering can, hose, lantern, oil can, pocket knife, soldering iron, sander, plane, funnel""",
        "beach_thing": """towel, bucket, umbrella, snorkel, surfboard, fishing rod, net, deckchair, kite, picnic rug, basket, flipper,
            mask, boogie board, cricket bat, tennis ball, sunhat, pair of sandals, crab pot, tackle box, life ring, beach ball,
            sand shovel, windbreak, paddle, rock hopper shoe, pair of goggles, wetsuit""",
        "camp_thing": """tent, sleeping bag, torch, billy, stove, rope, groundsheet, compass, map, first aid kit, water bottle,
            camp chair, backpack, hammock, cooler, tarpaulin, tent peg, whistle, matchbox, jaffle iron, mosquito net, folding table""",
        "treasure": """silver coin, brass key, glass marble, pocket watch, music box, pearl button, gold ring, old letter, shark tooth,
            painted shell, tin soldier, carved whistle, stamp album, photograph, diary, locket, medal, china doll, seahorse brooch,
            message bottle, treasure map, fossil, model ship, postcard, feather pen, snow globe, ivory comb, red ribbon""",
        "clothing": """jumper, raincoat, scarf, beanie, pair of gloves, apron, cardigan, singlet, pair of boots, dressing gown, cap,
            waistcoat, skirt, pair of overalls, pyjama top, straw hat, windcheater, sock, pair of gumboots, uniform, oilskin, belt""",
        "gift": """jar of honey, loaf of bread, bunch of flowers, box of chocolates, bag of lemons, basket of plums, knitted scarf,
            wooden toy, pot of jam, fruit cake, tin of biscuits, hand-painted card, bottle of olive oil, dozen eggs, pumpkin,
            bag of walnuts, woollen blanket, potted fern, jar of pickles, wheel of cheese, sack of potatoes, lavender cushion""",
        "food": """toast, porridge, pumpkin soup, fish and chips, scrambled eggs, vegetable pie, lamingtons, damper, pancakes,
            roast chicken, potato salad, pavlova, cheese sandwiches, tomato soup, scones with jam, meat pies, banana bread,
            grilled prawns, fried rice, apple crumble, lentil stew, sausage rolls, custard tart, garlic bread, noodles,
            barbecued corn, watermelon, trifle, oyster fritters, rice pudding, minestrone, curry, gingerbread, rhubarb tart""",
        "drink": """tea, coffee, ginger beer, lemonade, hot chocolate, milk, orange juice, peppermint tea, apple juice, lime cordial,
            iced tea, sparkling water, cocoa, soup from a mug, warm cider, coconut water""",
        "vehicle": """ute, bus, tractor, bicycle, milk truck, caravan, motorbike, van, train, horse float, fire engine, taxi, trailer,
            scooter, tandem, sidecar, mail van, tow truck, wagon, hay cart""",
        "boat": """dinghy, yacht, ferry, trawler, canoe, kayak, tinny, rowing boat, catamaran, tugboat, barge, raft, punt, schooner,
            lifeboat, pilot boat, houseboat, launch, sailing boat, prawn boat""",
        "bird": """gull, pelican, kookaburra, magpie, galah, heron, curlew, wren, cormorant, cockatoo, rosella, honeyeater, tern,
            oystercatcher, ibis, plover, swallow, lorikeet, currawong, kingfisher, egret, osprey, spoonbill, sandpiper, owl, duck""",
        "beast": """wallaby, kangaroo, wombat, possum, echidna, bandicoot, goanna, bluetongue lizard, quoll, koala, dingo, bat, water
            dragon, frog, platypus, turtle, horse, cow, sheep, goat, donkey, cat, dog, pony, rabbit, pig, calf, lamb""",
        "sea_beast": """dolphin, seal, whale, octopus, crab, stingray, seahorse, starfish, jellyfish, cuttlefish, lobster, penguin,
            wobbegong, sea dragon, mullet, flathead, whiting, bream, squid, sea turtle, prawn, mussel, sea snail, urchin""",
        "tree": """gum tree, banksia, paperbark, wattle, she-oak, fig tree, bottlebrush, Norfolk pine, mangrove, lemon tree, mulberry,
            jacaranda, tea-tree, ironbark, olive tree, walnut tree, plum tree, palm, silky oak, apple tree, willow, peppermint tree""",
        "flower": """daisy, rose, fern, orchid, lavender bush, sunflower, geranium, kangaroo paw, waratah, grevillea, poppy, tulip,
            marigold, lily, snapdragon, sweet pea, pansy, hibiscus, everlasting, violet, fuchsia, nasturtium""",
        "crop": """tomatoes, pumpkins, beans, carrots, potatoes, lettuces, strawberries, onions, cabbages, peas, zucchini, beetroots,
            radishes, leeks, sweetcorn, cucumbers, spinach, garlic, capsicums, turnips, parsnips, melons, broccoli, chives""",
        # people by role, without name
        "child": """boy, girl, child, toddler, twin, schoolboy, schoolgirl, cousin, niece, nephew, grandson, granddaughter, scout,
            drummer, goalkeeper, choirboy, little sister, little brother, neighbour's boy, apprentice""",
        "adult": """teacher, farmer, fisherman, sailor, nurse, baker, gardener, plumber, librarian, driver, painter, doctor, cook, ranger,
            tourist, shopkeeper, builder, dentist, reporter, postman, lifeguard, electrician, vet, butcher, tailor, surveyor,
            conductor, mechanic, clerk, fiddler, widow, captain, deckhand, shearer, potter, weaver, diver, pilot, judge, mayor""",
        "relative": """aunt, uncle, grandmother, grandfather, mother, father, brother, sister, cousin, niece, nephew, godmother,
            neighbour, oldest friend, great-aunt, brother-in-law, stepsister""",
        # adjectives
        "size": """big, small, little, huge, tiny, enormous, long, short, tall, narrow, wide, thick, thin, heavy, light, giant,
            shallow, deep, broad, slim""",
        "colour": """red, blue, green, yellow, white, black, grey, brown, orange, purple, pink, silver, golden, crimson, turquoise,
            cream, violet, scarlet, emerald, rusty, navy, copper, pale blue, dark green, bright red, faded""",
        "quality": """old, new, broken, clean, dusty, shiny, rough, smooth, battered, painted, polished, cracked, crooked, dented, dry,
            wet, muddy, salty, sandy, worn, mended, borrowed, forgotten, patched, plain, fancy, sturdy, wobbly, rusty, sharp,
            blunt, splintered, striped, spotted, tangled, tidy, torn, useful, valuable, weathered, woolly, hollow, lopsided""",
        "mood": """happy, sad, tired, angry, calm, proud, nervous, lonely, cheerful, grumpy, hungry, thirsty, sleepy, surprised, worried,
            relieved, curious, puzzled, delighted, impatient, shy, brave, ashamed, grateful, bored, excited, homesick, jealous,
            hopeful, gloomy, restless, content, embarrassed, thoughtful, stubborn, frightened""",
        "nature": """kind, clever, patient, careful, lazy, quiet, friendly, honest, generous, polite, bossy, forgetful, gentle, strong,
            wise, clumsy, cheeky, sensible, serious, noisy, modest, helpful, fussy, loyal, bold, cautious, witty, humble""",
        "weather_adj": """fine, cloudy, windy, wet, stormy, foggy, hot, cold, humid, frosty, mild, bright, grey, drizzly, hazy, clear,
            blustery, steamy, chilly, showery, sunny, muggy, breezy, sultry, crisp""",
        "manner": """slowly, quickly, carefully, quietly, loudly, gently, happily, sadly, politely, suddenly, steadily, neatly, bravely,
            nervously, patiently, proudly, eagerly, calmly, clumsily, firmly, softly, sternly, kindly, gravely, briskly,
            wearily, cheerfully, crossly, thoughtfully, shyly, warmly, hastily, stubbornly, gratefully, silently""",
        # times
        "day": """Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday""",
        "month": """January, February, March, April, May, June, July, August, September, October, November, December""",
        "season": """spring, summer, autumn, winter""",
        "hour": """one, two, three, four, five, six, seven, eight, nine, ten, eleven, noon""",
        "count": """two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fifteen, twenty""",
        "when": """early in the morning, before breakfast, after lunch, late in the afternoon, at sunset, in the evening, at midnight,
            at dawn, on a {weather_adj} morning, on the first day of {season}, one {day}, on {day} afternoon, at {hour} o'clock,
            in the middle of {month}, at low tide, at high tide, on market day, after the rain, in the school holidays,
            just before dark, the day after the storm, when the church bell rang, at the end of {month}""",
        "ago": """last week, yesterday, two days ago, last {day}, a month ago, last winter, when {he} was small, years ago, this morning,
            last summer, before the war memorial was built, a fortnight ago, the night before, in {month}""",
        "wind": """the north, the south, the east, the west, the sea, the hills, the south-east, the land""",
        "number": """12, 15, 18, 20, 24, 25, 30, 36, 40, 45, 50, 60, 75, 80, 90, 120, 150, 200, 300, 500""",
        "material": """wood, stone, brick, iron, tin, glass, clay, canvas, leather, wool, cotton, straw, paper, copper, bronze, cork,
            bamboo, rubber, silk, marble, wax, linen, steel, felt, rope, driftwood, sandstone, timber, plaster, concrete""",
        "game": """cricket, chess, cards, hopscotch, marbles, table tennis, hide and seek, soccer, netball, draughts, dominoes, darts,
            tug of war, leapfrog, snap, charades, backyard cricket, lawn bowls, bingo, noughts and crosses""",
        "music": """the fiddle, the piano, the trumpet, the drums, the guitar, the accordion, the flute, the banjo, the cello,
            the harmonica, the clarinet, the ukulele, the tin whistle, the organ, the trombone, the recorder""",
        "smell": """bread, salt, smoke, seaweed, wet dog, eucalyptus, coffee, paint, mown grass, lemon, diesel, fish, roses, rain,
            vinegar, soap, onions, leather, cinnamon, hay, varnish, gunpowder, wood shavings, toast""",
        "sound": """a bell, a whistle, a splash, a shout, a bark, a creak, a rumble of thunder, a knock, a ferry horn, laughter, singing,
            a crash, footsteps, a squeak, the rattle of a chain, the cry of a gull, a snore, the tick of a clock, hoofbeats,
            a kettle, an engine, a drum, a sneeze, a long howl""",
        "doctor": """doctor, nurse, dentist, vet""",
        "jam": """plum jam, golden syrup, honey, butter and salt, apricot jam, strawberry jam, cheese, marmalade""",
        "surname": """Abbott, Baxter, Carver, Dawson, Elwood, Fenner, Gibson, Harlow, Irving, Jessop, Keating, Lomax, Mallory, Norris,
            Ogden, Pascoe, Quinn, Ridley, Sutton, Thorne, Underhill, Vickers, Waring, Yates""",
        "boyname": """Albert, Ben, Callum, Dougal, Elias, Finn, Gordon, Harvey, Isaac, Jasper, Kofi, Leo, Marco, Nathan, Omar, Percy,
            Quentin, Reuben, Sam, Theo, Umar, Victor, Walter, Xavier, Yusuf, Zac, Barney, Cyrus, Desmond, Hugo""",
        "girlname": """Alice, Beth, Clara, Daisy, Edith, Farah, Gemma, Holly, Imogen, Jade, Keira, Lucy, Mabel, Nora, Olive, Priya,
            Queenie, Rosie, Stella, Tess, Uma, Violet, Wendy, Xanthe, Yara, Zoe, Bridget, Celia, Dora, Harriet""",
    }.items()
}

NOUNS_IRREGULAR = {
    "child": "children", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "goose": "geese", "mouse": "mice",
    "sheep": "sheep", "fish": "fish", "calf": "calves", "knife": "knives", "loaf": "loaves", "shelf": "shelves",
    "fisherman": "fishermen", "postman": "postmen", "schoolboy": "schoolboys", "octopus": "octopuses", "platypus": "platypuses",
    "cuttlefish": "cuttlefish", "starfish": "starfish", "jellyfish": "jellyfish", "ibis": "ibises", "mullet": "mullet",
    "flathead": "flathead", "whiting": "whiting", "bream": "bream", "squid": "squid", "leaf": "leaves", "scarf": "scarves",
    "person": "people", "wife": "wives", "wolf": "wolves", "brother-in-law": "brothers-in-law", "potato": "potatoes",
    "choirboy": "choirboys", "neighbour's boy": "neighbour's boys",
}  # fmt: skip


def plural(noun: str) -> str:
    """The plural of a noun or of a phrase whose last word is the noun (``pair of …`` and ``… of …`` bend the first)."""
    if noun in NOUNS_IRREGULAR:
        return NOUNS_IRREGULAR[noun]
    for link in (" of ", " with ", " in "):
        if link in noun:
            head, rest = noun.split(link, 1)
            return f"{plural(head)}{link}{rest}"
    first, _, last = noun.rpartition(" ")
    if last in NOUNS_IRREGULAR:
        return f"{first} {NOUNS_IRREGULAR[last]}".strip()
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if last.endswith("y") and last[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"
