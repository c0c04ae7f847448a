"""Scenes: who does what, where, with verbs that agree with their subject, also over a phrase that stands between."""

from __future__ import annotations

from .lexicon import plural
from .nature import third
from .patterns import Writer


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",") if item.strip()]


# Verb phrases in the plural form, by what kind of subject can do them.
PERSON_VERBS = _list("""
    mend nets, carry boxes, wait for the bus, read the paper, sweep the steps, laugh at the joke, paint the railing, count the coins,
    drink tea, whistle a tune, hang out the washing, peel potatoes, feed the hens, look for shells, wave to the ferry, tell stories,
    sing in the choir, sell tickets, polish the brass, chop wood, stir the soup, write letters, play cards, argue about the weather,
    water the seedlings, clean the windows, push the trolley, tie knots, catch the train, ring the bell, fold the sheets, bake bread,
    sort the post, measure the planks, sharpen the knives, pick plums, cross the road, close the shutters, open the umbrella,
    listen to the radio, learn the names of the stars, draw maps, build sandcastles, throw stones into the water, hold hands,
    stand in the queue, knock on the door, sleep in the shade, eat ice cream, wash the dog, weigh the fish, dance on the boardwalk,
    complain about the noise, study the timetable, lean on the fence, rake the leaves, collect driftwood, fly kites, rest on the bench,
    walk along the sea wall, light the lamps, lock the gate, pull weeds, load the truck, shell peas, knit socks, oil the hinges""")
BIRD_VERBS = _list("""
    fly over the roofs, sit on the wire, build a nest, steal crumbs, circle above the boats, hop along the wall, call from the trees,
    rest on the posts, search for worms, land on the water, watch the picnic, sing before sunrise, splash in the puddle,
    fight over a crust, feed their young, dive for fish, glide on the wind, sleep on one leg, scatter at the noise, peck at the seeds""")
BEAST_VERBS = _list("""
    drink at the dam, cross the track, sleep under the verandah, graze by the fence, listen for footsteps, run into the scrub,
    chew slowly, hide behind the shed, sniff the wind, scratch in the dust, lie in the sun, jump over the log, wait by the gate,
    come out at dusk, stare at the lamp, follow the creek, dig in the garden, eat the lettuces, roll in the grass""")
SEA_VERBS = _list("""
    swim under the jetty, hide in the weed, drift past the posts, rest on the sand, come in with the tide, turn in the current,
    circle the bait, cling to the rock, rise to the surface, feed at night, glitter in the light, vanish into the deep""")
BOAT_VERBS = _list("""
    rock in the swell, leave the harbour, lie at anchor, come back at dusk, bump against the wharf, need new paint, carry the mail,
    drift towards the rocks, sail round the head, pull at the ropes, smell of fish, wait for the tide, turn into the wind""")
PLANT_VERBS = _list("""
    grow beside the path, bend in the wind, lose leaves in the heat, flower in spring, shade the bench, need water, lean over the wall,
    smell sweet after rain, stand in a row, drop bark on the grass, attract the bees, hide the fence""")
THING_STATES = _list("""
    wet, dry, clean, dusty, broken, new, old, heavy, light, rusty, warm, cold, empty, full, lost, safe, dear, cheap, dirty, missing,
    ready, useful, sharp, blunt, crooked, straight, loose, tight, sticky, smooth, rough, wooden, painted, hidden, stuck""")

SUBJECTS: dict[str, list[str]] = {
    "person": PERSON_VERBS, "bird": BIRD_VERBS, "beast": BEAST_VERBS, "sea": SEA_VERBS, "boat": BOAT_VERBS, "plant": PLANT_VERBS,
}  # fmt: skip
_LISTS = {"person": ("child", "adult"), "bird": ("bird",), "beast": ("beast",), "sea": ("sea_beast",), "boat": ("boat",), "plant": ("tree", "flower")}  # fmt: skip
THINGS = ("kitchen_thing", "tool", "beach_thing", "camp_thing", "clothing", "treasure")
# Phrases between subject and verb; {x} is a noun that may differ in number from the subject.
BETWEEN = {
    "person": ["near the {x}", "with the {x}", "behind the {x}", "in front of the {x}", "next to the {x}", "beside the {x}"],
    "bird": ["on the {x}", "near the {x}", "above the {x}", "behind the {x}"],
    "beast": ["near the {x}", "behind the {x}", "beside the {x}"],
    "sea": ["under the {x}", "near the {x}", "beside the {x}"],
    "boat": ["near the {x}", "with the {x}", "behind the {x}", "beside the {x}"],
    "plant": ["near the {x}", "behind the {x}", "beside the {x}"],
    "thing": ["near the {x}", "behind the {x}", "under the {x}", "beside the {x}", "next to the {x}", "of the {adult}", "for the {child:s}"],
}  # fmt: skip
NEIGHBOURS = ("boat", "vehicle", "tree", "adult", "child", "tool", "beach_thing", "camp_thing")


def noun(writer: Writer, kind: str) -> str:
    """A singular noun that can be a subject of this kind (``thing``: any object)."""
    lists = THINGS if kind == "thing" else _LISTS[kind]
    return writer.fill_raw(writer.draw(writer.rng.choice(lists)))


def between(writer: Writer, kind: str, many: bool) -> str:
    """A phrase after the subject whose noun is plural or not, as ``many`` says."""
    phrase = writer.rng.choice([p for p in BETWEEN[kind] if "{x}" in p])
    other = writer.fill_raw(writer.draw(writer.rng.choice(NEIGHBOURS)))
    return phrase.replace("{x}", plural(other) if many else other)


def present(writer: Writer, attractor: float = 0.4) -> str:
    """One sentence in the present tense; with probability ``attractor`` a phrase parts subject and verb."""
    rng = writer.rng
    kind = rng.choices([*SUBJECTS, "thing"], [8, 3, 2, 1, 2, 1, 5])[0]
    many = rng.random() < 0.5
    head = noun(writer, kind)
    subject = plural(head) if many else head
    middle = f" {between(writer, kind, rng.random() < 0.5)}" if rng.random() < attractor else ""
    who = rng.choice(
        [
            f"the {subject}",
            f"the {subject}",
            f"the {{colour}} {subject}" if kind in ("thing", "boat") else f"the {{size}} {subject}",
        ]
    )
    if not middle and rng.random() < 0.3:
        who = f"{{count}} {subject}" if many else f"a {subject}"
    if kind == "thing" or rng.random() < 0.12:
        state = rng.choice(
            THING_STATES
            if kind in ("thing", "boat")
            else ["{mood}"]
            if kind in ("person", "beast")
            else ["quiet", "old", "wet"]
        )
        verb = f"{'are' if many else 'is'} {state}"
    else:
        phrase = rng.choice(SUBJECTS[kind])
        verb = phrase if many else third(phrase)
        if not many:
            verb = verb.replace("their young", "its young")
    acts = kind == "person" and verb.split()[0] not in ("is", "are")
    for slot in ("size", "colour", "mood"):
        writer.facts.pop(slot, None)  # the next sentence is about somebody else
    tail = rng.choice(["", "", "", " {manner}" if acts else "", " {where}", " again", " today"])
    return writer.sentence(f"{who}{middle} {verb}{tail}.", where=rng.choice(("shore", "shops", "civic", "bush")))


PAST = [
    "The wind came from {wind} and smelled of {smell}.",
    "It was a {weather_adj} [morning|day|afternoon|evening], and the [sea|sky|harbour] was [{colour}|grey|calm].",
    "[Far away|Somewhere] there was {sound}.",
    "Over {shore} the {bird:s} [circled|screamed|hung in the wind].",
    "The {child:s} played {game} [near|behind|in front of] {civic}.",
    "[Two|Three|Some] {bird:s} were sitting on the {vehicle}.",
    "The tide was [coming in|going out], and the {sea_beast:s} [were hiding|had gone].",
    "A {adult} [waved|nodded|called out] from {shops}.",
    "There was [a|one] {quality} {tool} [on|beside] the {kitchen_thing}, and nobody knew whose it was.",
    "The {flower:s} in front of {civic} were {colour} that {season}.",
    "Rain [fell|ran down the windows|drummed on the roof], and the {beast:s} [stood under the trees|did not mind].",
    "Everybody [ate|had] {food} and [drank|talked about] {drink}.",
    "On the radio somebody [played|was playing] {music}.",
    "The {boat:s} were [tied up|lying] at {shore}, and their ropes [creaked|were wet].",
    "{When} the {adult:s} [sat|stood] at {shore} and [said nothing|told old jokes|mended nets].",
    "The clock of {civic} struck {hour}.",
    "In {room} it was [warm|dark|cold], and it smelled of {smell}.",
    "A {child} with a {beach_thing} [ran|walked] past.",
    "[Nobody|No one] was [about|awake], apart from one {mood} {beast}.",
    "The road to {bush} was [wet|dusty|empty].",
    "[High up|Above the hill] a {bird} [turned|hung] in the {colour} sky.",
    "There were {count} {boat:s} at {shore} and not one of them was moving.",
    "The {tree:s} along the road [whispered|bent] in the wind.",
    "{petname} the {pet} [yawned|sneezed|turned round twice] and lay down.",
    "The {kitchen_thing:s} on the shelf [rattled|shone].",
    "{h} was [{mood}|a little {mood}], but {he} did not [show|say] it.",
    "{f} was [{mood2}|rather {mood2}] that day.",
    "{h} put on {his} {clothing} and took the {quality} {kitchen_thing} from the table.",
    "[Later|By then] the {bird:s} had [gone|come back], and the light was {colour2}.",
    "It had been {weather_adj} since {day}.",
    "[A|One] {adult} asked {f} for a {tool}, and {f} [laughed|had none].",
    "Somebody had left a {quality} {clothing} on the steps of {civic}.",
    "The {adult} from {town2} was there too, with a {beast} on a rope.",
    "{h} thought of {food} and of {drink}.",
    "{f} took a deep breath and [counted|walked] to {count}.",
    "It was {hour} o'clock, and {town} was [asleep|awake|quiet].",
    "From {room} came {sound}.",
    "The {vehicle} stood in front of {shops}, [as always|with its lights on].",
    "A {size} {beast} crossed the road and [looked|stopped].",
    "There were {count} {kitchen_thing:s} on the table, and one of them was {quality}.",
    "The {adult:s} of {town} are not easily surprised.",
    "{h} looked at {f}, and {f} looked at the [floor|sky|{bird:s}].",
    "They [sat|waited] a while and [talked about|thought of] {festival}.",
    "It smelled of {smell}, as it does in {season}.",
    "Two {child:s} were [fighting|laughing] over a {beach_thing}.",
    "Behind {shops}, a {bird} was eating somebody's {food}.",
    "In {month} such days are [rare|common] in {town}.",
    "The {sea_beast:s} did not care about any of this.",
    "[At last|Soon] it began to rain, [softly|hard], on the {tree:s} and the {boat:s}.",
    "The news was in all the shops of {town} by {hour}.",
    "{h} had a {camp_thing}, and {f} had a {tool}.",
    "\"What a day,\" said {f} [{manner}|and sat down].",
    "\"Is that {sound}?\" asked {h}. \"No,\" said {f}, \"only the {bird:s}.\"",
]  # fmt: skip

DIARY = [
    "{day}, {number} past {month}. The weather was {weather_adj}.",
    "[Today|This morning] I [saw|counted|met] {count} {bird:s} at {shore}.",
    "I [had|ate] {food} for [lunch|supper|breakfast], and {petname} got the rest.",
    "{f} came by and [borrowed|brought back] my {tool}.",
    "[I was|I have been] {mood} all day, and I do not know why.",
    "In the afternoon I [walked|cycled] to {bush} and [back again|sat there for an hour].",
    "The {vehicle} will not start. I need a {tool2} and [somebody who knows how to use it|patience].",
    "I [must|should] not forget to [buy|order] {crop}, {material} and a {kitchen_thing}.",
    "My {relative} [wrote|called]. The news from {town2} is [good|bad|the same as always].",
    "A {adult} asked me about {landmark}, and I [talked|went on] for an hour.",
    "There is something [wrong|living] in {room}. I heard {sound} in the night.",
    "I have [learned|tried] to play {music}. {f} says that I should [stop|go on].",
    "I [found|lost] a {treasure} {where}.",
    "At {hour} the lights went on at {civic}, and I thought of {girlname}.",
    "The {crop2} are [nearly|not yet] ripe. The {beast:s} know it too.",
    "[Tomorrow|On {day2}] I will [mend|paint] the {camp_thing}, if it is not {weather_adj2}.",
    "I dreamed of a {sea_beast} that could [sing|read|drive a {vehicle2}].",
    "Nobody came to {shops} today, so I [read|slept] and listened to the rain.",
    "I am {mood2}, and the sea is {colour}.",
    "Enough. [Good night|To bed], {petname}.",
]

LETTER = [
    "Dear {f},",
    "[Thank you|Many thanks] for the {gift}. It [arrived|came] on {day}, [in one piece|a little squashed].",
    "[How are you|Are you well]? I am {mood}, and {petname} is {mood2}.",
    "Here in {town} it is {weather_adj}, and the {tree:s} are [in flower|losing their leaves].",
    "You [asked|wrote] about {landmark}. It [is still there|has been painted {colour}].",
    "We [held|had] {festival} in {month}, and {count} people came.",
    "My {relative} has bought a {quality} {boat} and [falls into|sits on] it every {day2}.",
    "I have [not yet|already] found the {treasure} that you [lost|told me about].",
    "[Could|Would] you send me your [recipe|secret] for {food}? Mine tastes of {smell}.",
    "The new {adult} at {civic} is {nature}, but [talks|sings] too much.",
    "Last week there was {sound} in {room}, and it turned out to be a {beast}.",
    "When you [come|visit], bring a {clothing} and a {beach_thing}. We will [go|walk] to {shore}.",
    "Do you still play {music}? I have [begun|given up] {game}.",
    "The {crop} in your garden [must|should] be ripe by now. Ours were eaten by {bird:s}.",
    "It is late, the lamp is [low|smoking], and I must [stop|feed the {beast2}].",
    "[Write soon|Answer soon|Give my love to {girlname}].",
    "Your {nature2} friend, {h}",
]

REPORT = [
    "Here is the weather for {day}.",
    "It will be {weather_adj} in the north and {weather_adj2} in the south of the coast.",
    "The wind will [blow|come] from {wind}, [lightly|strongly] at first, and will [drop|rise] by {hour}.",
    "In the hills behind the coast, expect {weather_adj3} [skies|hours] after {hour2}.",
    "High tide at {town} is at {hour3}, and the waves will be [below one metre|up to {count} metres].",
    "The {boat:s} of {town2} [should|need not] stay in the harbour.",
    "[Take|Do not forget] a {clothing} if you are [walking|going] to {bush}.",
    "Farmers near {town3} can [expect|hope for] {number} millimetres of rain.",
    "[Last {season}|A year ago] it was much [hotter|colder|wetter] on this day.",
    "The water at {shore} is [{number2} degrees|colder than it looks].",
    "Fire danger: [low|moderate|high]. [No fires|Fires are allowed] at {bush2}.",
    "The {bird:s} are flying [low|inland], so [some|many] people say that a storm is coming.",
    "The outlook for {day2}: {weather_adj4}, with [a chance of|some] [rain|sun|thunder|fog].",
    "That was the weather, read by {radio} from {radio_town}.",
]

NOTICE = [
    "[Lost|Missing]: a {colour} {clothing} and a {treasure}, [near|at] {shore}. [Please ring|Ask for] {h}.",
    "[Found|Handed in]: a {quality} {tool} and {count} {beach_thing:s}. Ask at {shops}.",
    "For sale: one {vehicle}, {quality2}, [goes well downhill|with {count2} new tyres]. {number} dollars. See {f}.",
    "[Wanted|We are looking for]: a {adult} who can [mend|count] {kitchen_thing:s}. Come to {civic} on {day}.",
    "Lessons in {music}, {count3} dollars an hour. [Beginners welcome|Not before {hour}].",
    "The {adult2:s} of {town} meet at {hour2} on {day2} to talk about the {quality3} bridge. There will be {food}.",
    "Free to a good home: {count4} [young|small] {beast:s}, [very|almost] clean. Ask {h2} in {town2}.",
    "The [pool|library|hall] is closed [until {month}|on {day3}] because of [paint|a {beast2} in the roof].",
    "To whoever took my {camp_thing}: [keep it|you forgot the pegs]. {h3}",
    "Swap: [my|one] {size} {gift} for your {size2} {gift2}. Leave a note at {shops2}.",
    "Thank you to the {mood} {child} who found my {relative}'s {treasure2}.",
]
