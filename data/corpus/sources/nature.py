"""Tables of general knowledge: animals, plants, tools, jobs. Verb phrases stand in the plural form ("dig burrows")."""

from __future__ import annotations

# name | group | colour | eats | lives (place phrase) | does | also does
_ANIMALS = """
wombat | marsupial | brown | grass and roots | in burrows under the hills | dig long tunnels | walk slowly at night
kangaroo | marsupial | grey | grass | on open plains | hop on two strong legs | rest in the shade at noon
wallaby | marsupial | reddish brown | leaves and grass | among the rocks | leap from stone to stone | carry their young in a pouch
koala | marsupial | grey | gum leaves | in gum trees | sleep most of the day | climb with sharp claws
possum | marsupial | silver grey | blossom and fruit | in hollow trees | run along the power lines | steal fruit from gardens
echidna | egg-laying mammal | dark brown | ants and termites | in the scrub | roll up into a ball of spines | lick up insects with a long tongue
platypus | egg-laying mammal | dark brown | worms and yabbies | in quiet rivers | swim with their eyes shut | lay eggs in a burrow
bandicoot | marsupial | yellowish brown | beetles and worms | under thick grass | dig small round holes | hide from foxes
quoll | marsupial | spotted | birds and mice | in the forest | hunt after dark | sleep in hollow logs
bat | mammal | black | nectar and figs | in caves and fig trees | hang upside down | fly out at dusk
dolphin | sea mammal | blue grey | fish and squid | in the bay | jump in front of the boats | talk in clicks and whistles
whale | sea mammal | blue black | krill | in the open ocean | travel north in winter | sing under the water
seal | sea mammal | chocolate brown | fish | on the rocks of Gannet Rock | bark like dogs | dive deeper than any diver
pelican | bird | black and white | fish | on the lagoon | glide without moving their wings | carry fish in a huge bill
gull | bird | white and grey | scraps and crabs | along the shore | scream over the wharf | snatch chips from children
kookaburra | bird | brown and white | lizards and snakes | in old trees | laugh at sunrise | sit still on fence posts
magpie | bird | black and white | worms and beetles | near the houses | sing in the morning | swoop in spring
galah | bird | pink and grey | seeds | in large flocks | hang from the wires | feed on the oval
lyrebird | bird | brown | insects and spiders | in the fern valleys | copy every sound they hear | dance with a silver tail
heron | bird | white-faced | frogs and small fish | at the edge of the water | stand on one leg | wait without a sound
wren | bird | bright blue | small insects | in low bushes | flick their tails | build tiny round nests
emu | bird | grey brown | seeds and flowers | on the dry plains | run faster than a horse | sit on dark green eggs
penguin | sea bird | blue and white | small fish | in holes above the beach | come ashore after dark | waddle up the stone stairs
gannet | sea bird | white and yellow | fish | on steep cliffs | dive like arrows | nest side by side
owl | bird | speckled | mice and moths | in barns and hollows | fly without a sound | turn their heads right round
cockatoo | bird | white | nuts and seeds | in tall trees | screech all together | crack hard nuts
swan | bird | black | water weeds | on the lakes | build floating nests | honk in flight
turtle | reptile | green | sea grass | in warm water | bury their eggs in the sand | breathe at the surface
goanna | reptile | patterned | eggs and carrion | in the dry bush | climb trees when frightened | taste the air with a forked tongue
gecko | reptile | pale | moths | on warm walls | walk up the glass | drop their tails
bluetongue | reptile | striped | snails and berries | under wood piles | show a blue tongue | sun themselves on the path
python | reptile | diamond patterned | rats | in roofs and sheds | swallow their food whole | shed their skin
crocodile | reptile | grey green | fish and birds | in the rivers of the far north | lie still as logs | guard their nests
frog | amphibian | green | flies and mosquitoes | in ponds and tanks | croak before the rain | lay eggs like jelly
octopus | sea animal | reddish | crabs | in holes of the reef | change their colour | squeeze through narrow gaps
crab | sea animal | orange | scraps and weed | under stones | walk sideways | wave their claws
seahorse | fish | yellow | tiny shrimps | in the sea grass | swim upright | hold on with their tails
starfish | sea animal | purple | mussels | in the rock pools | grow new arms | creep on hundreds of feet
jellyfish | sea animal | clear | plankton | in warm currents | drift with the tide | sting bare legs
stingray | fish | sandy brown | crabs and worms | on the sandy floor | hide under the sand | flap like slow birds
shark | fish | grey | fish and seals | in deep water | smell food from far away | lose and grow many teeth
lobster | sea animal | dark red | snails and urchins | in cracks of the reef | walk in long lines | grow a new shell
mussel | shellfish | blue black | plankton | on ropes and rocks | cling with strong threads | shut tight at low tide
oyster | shellfish | grey | plankton | on the posts of the wharf | clean the water | sometimes make a pearl
trout | fish | spotted | flies and worms | in cold creeks | leap at insects | swim against the current
eel | fish | olive | small fish | in muddy creeks | travel over wet grass | swim to the sea to breed
bee | insect | golden | nectar | in hives | dance to show the way | make honey from blossom
ant | insect | black | seeds and crumbs | under the ground | carry more than their own weight | follow a trail of scent
butterfly | insect | orange and black | nectar | in gardens | taste with their feet | sleep with folded wings
moth | insect | dusty grey | nectar | in the grass | fly to the lamp | eat holes in jumpers as grubs
dragonfly | insect | blue | mosquitoes | above the ponds | fly backwards | catch their food in the air
cicada | insect | green | sap | in the gum trees | drum on hot days | spend years under the earth
spider | small hunter | brown | flies | in corners and letter boxes | spin sticky webs | wrap up their catch
snail | soft animal | brown | lettuces and leaves | under flower pots | carry their house with them | leave a silver trail
cow | farm animal | black and white | grass and hay | in the paddocks | chew their food twice | give milk in the morning
sheep | farm animal | white | grass | on the hills above Penguin Steps | follow one another through any gap | grow thick wool
goat | farm animal | brown and white | nearly everything | on rocky ground | climb onto roofs | butt each other for fun
horse | farm animal | chestnut | oats and hay | in stables | sleep on their feet | swish their tails at flies
pig | farm animal | pink | peelings and corn | in a pen | roll in the mud | find roots with their noses
hen | farm animal | red | grain and worms | in the chook house | scratch in the dust | lay an egg almost every day
duck | farm animal | white | snails and weed | on the dam | dip their heads under water | walk in a row
donkey | farm animal | grey | hay and thistles | behind the salt works | bray across the valley | carry heavy loads
dog | pet | black | meat and biscuits | with people | bark at strangers | wag their tails
cat | pet | ginger | fish and mice | in warm places | purr by the fire | wash with their tongues
rabbit | pet | soft grey | carrots and clover | in hutches | thump with their feet | twitch their noses
parrot | pet | rainbow coloured | fruit and seeds | on a perch | learn to say words | bite when teased
mouse | small mammal | brown | crumbs and grain | behind the walls | gnaw through wood | run along the skirting boards
hedgehog | small mammal | spiny | slugs | under leaves | curl up when touched | sleep through the cold
squid | sea animal | silver | fish | in open water | shoot backwards | squirt black ink
prawn | shellfish | clear | tiny plants | in the creek mouths | swim with the outgoing tide | shine in the torchlight
"""

# name | kind | colour of flower or leaf | grows | month or season | use
_PLANTS = """
banksia | tree | yellow | on sandy heath | winter | feeds the honeyeaters
wattle | tree | golden | along the roads | August | holds the soil after a fire
waratah | shrub | crimson | on the high ridges | spring | stands for strength on the school badge
bottlebrush | shrub | red | by the creeks | November | brings birds to the garden
grevillea | shrub | orange | in dry gardens | all year | gives sweet nectar
paperbark | tree | cream | in the swamps | summer | lends its bark for wrapping fish
ironbark | tree | dark | on stony hills | winter | makes hard timber for bridges
she-oak | tree | rusty | behind the dunes | autumn | breaks the wind
mangrove | tree | pale green | in salt mud | summer | shelters young fish
fig | tree | green | near old houses | February | feeds bats and children
lemon tree | tree | white | in back yards | winter | gives juice for the fish
olive | tree | silver grey | on dry slopes | April | is pressed for oil
apple tree | tree | pink | around Kestrel Hill | September | bears fruit for pies and cider
walnut | tree | greenish | in Echidna Gap | October | bears nuts with a hard shell
mango | tree | reddish | around Mundi Sands | December | bears sweet orange fruit
lilly pilly | tree | white | in wet gullies | summer | bears pink berries for jam
quandong | tree | green | inland from the bay | spring | bears red fruit with a wrinkled stone
strawberry | creeper | white | under straw | October | is sold in small baskets
pumpkin | vine | yellow | on Magpie Flat | autumn | keeps all winter in the shed
potato | root crop | purple | in the black soil of Stormy Cape | summer | is dug up after the leaves die
carrot | root crop | feathery green | in loose soil | winter | is good for soup
onion | bulb | white | in full sun | spring | makes the cook weep
tomato | fruit of the garden | red | against a warm wall | summer | needs a stake
bean | climber | scarlet | up poles | summer | puts goodness back into the soil
pea | climber | white | on a net | spring | is eaten straight from the pod
mint | herb | purple | in damp corners | summer | spreads where nobody wants it
rosemary | herb | blue | beside the gate | winter | is laid on roast lamb
lavender | herb | violet | along the path | summer | keeps moths out of drawers
basil | herb | white | on the window sill | summer | goes well with tomatoes
thyme | herb | pink | between stones | spring | cures a cough
daisy | flower | white | in the lawn | spring | closes at night
sunflower | flower | yellow | along fences | January | turns its face to the light
rose | shrub | red | in front gardens | November | has thorns
orchid | flower | purple | on damp trunks | September | lives on air and rain
everlasting | flower | papery gold | on the plains | spring | keeps its colour when dried
pigface | creeper | bright pink | on the dunes | spring | holds the sand with fat leaves
saltbush | shrub | grey green | on salty ground | summer | is food for sheep
kelp | seaweed | brown | on the reef | winter | washes up after storms
sea grass | water plant | green | in the shallow bay | summer | hides seahorses
fern | plant without flowers | green | in the shade | all year | unrolls its leaves like a fist
moss | plant without flowers | dark green | on wet stones | winter | drinks from the fog
bamboo | giant grass | pale green | behind the laundry | all year | is cut for fishing rods
wheat | grain | gold | on the flats | November | is ground to flour in Bottlebrush
oats | grain | straw yellow | on cool slopes | December | is cooked as porridge
"""

# name | used to (verb phrase) | kept | made of | user
_TOOLS = """
hammer | drive in nails | on a hook above the bench | steel and wood | carpenter
saw | cut planks | in a leather cover | steel | sawmiller
chisel | carve a joint | in a roll of canvas | steel | boat builder
plane | make a board smooth | on its side | wood and iron | joiner
screwdriver | turn screws | in the top drawer | steel | electrician
spanner | loosen bolts | in a tin box | steel | mechanic
pliers | bend wire | in a back pocket | steel | fencer
drill | make holes | in its case | metal | builder
spirit level | see whether a shelf is straight | in a long bag | brass and glass | bricklayer
tape measure | find out how long something is | on a belt | steel | tailor
spade | turn the soil | behind the shed door | iron and ash | gardener
rake | gather leaves | against the fence | bamboo | groundsman
hoe | chop out weeds | under the tank stand | iron | market gardener
wheelbarrow | move earth | upside down in the yard | wood and iron | gardener
watering can | water seedlings | beside the tap | tin | florist
secateurs | prune roses | in a basket | steel | orchardist
axe | split logs | stuck in the block | steel and hickory | woodcutter
whisk | beat eggs | in a jar by the stove | wire | cook
rolling pin | flatten dough | in the flour drawer | beech | baker
sieve | take lumps out of flour | on a nail | wire | miller
ladle | serve soup | over the range | tin | ship's cook
grater | shred cheese | behind the plates | tin | cheese maker
kettle | boil water | on the stove | tin | tinsmith
needle | mend sails | in a cork | steel | sailmaker
thimble | protect a finger | in the button tin | silver | tailor
loom | weave cloth | in the front room | timber | weaver
shears | clip wool | in an oiled rag | steel | shearer
anchor | hold a boat | in the bow | iron | sailor
compass | find north | in a round case | brass | navigator
telescope | look far out to sea | on the window sill | brass | lighthouse keeper
oar | row a boat | along the wall of the boathouse | ash | rower
net | catch fish | over the rail to dry | cotton | fisherman
crab pot | catch crabs | in a stack on the wharf | wire | crabber
lantern | give light | on the porch | tin and glass | ferryman
bell | call people together | on a post | bronze | ferry captain
stethoscope | hear a heart | round the neck | rubber and steel | nurse
thermometer | measure a fever | in the cabinet | glass | doctor
microscope | see very small things | under a cloth | brass and glass | botanist
camera | take pictures | in a padded bag | metal and glass | photographer
easel | hold a canvas | in the corner | pine | painter
kiln | harden clay | in the yard | brick | potter
anvil | shape hot iron | near the fire | iron | blacksmith
bellows | blow air into a fire | beside the forge | leather and wood | blacksmith
smoker | calm bees | on a shelf | tin | beekeeper
plough | open the ground | in the barn | iron | farmer
scales | weigh fruit | on the counter | brass | greengrocer
till | keep the money | beside the scales | steel | shopkeeper
rain gauge | measure rain | on a post in the open | glass | weather watcher
whistle | stop a game | on a string | metal | referee
stretcher | carry the injured | in the ambulance | canvas | ranger
"""

# job | does (plural verb phrase) | place | needs
_JOBS = """
baker | get up at three to bake the bread | in a hot kitchen | strong arms
nurse | look after the sick | at the hospital | a kind voice
fisherman | go out before dawn and come back with the tide | on the water | patience
lighthouse keeper | keep the lamp burning all night | in a tall tower | sharp eyes
boat builder | bend planks over steam | in a long shed | a steady hand
beekeeper | collect honey in a white suit | among the hives | calm nerves
carpenter | build tables, doors and stairs | in a workshop | a good pencil
clockmaker | clean tiny wheels and springs | under a bright lamp | a magnifying glass
farmer | plant in spring and harvest in autumn | on the land | rain at the right time
postman | bring letters to every door | on a bicycle | good shoes
teacher | explain sums and stories | at the school | a sense of humour
vet | cure cows, cats and cockatoos | in a small clinic | gentle hands
plumber | mend pipes and taps | under the sink | a torch
electrician | lay wires and change fuses | in other people's roofs | rubber gloves
librarian | find the right book for everyone | at the library | a good memory
ranger | look after the tracks and the animals | in the national park | strong boots
diver | scrape barnacles from the boats | under the jetty | a tank of air
photographer | wait for the right light | in the hills and on the shore | time
potter | shape bowls on a wheel | in a studio | wet clay
rope maker | twist fibres into ropes | along a walk of two hundred metres | a straight path
shepherd | count the flock each evening | on the hills | a clever dog
tinsmith | solder kettles and pans | at a bench | a hot iron
ferry captain | take people across the passage | on the bridge | a loud horn
museum keeper | write labels for old things | in cool quiet rooms | clean gloves
jam maker | boil fruit with sugar | over a big pot | many jars
cheese maker | stir milk until it sets | in a cool cellar | clean hands
shearer | clip a hundred sheep a day | in the woolshed | a strong back
referee | keep the game fair | on the oval | a whistle
reporter | ask questions and write down answers | all over town | a notebook
judge | decide who is right | in court | wisdom
firefighter | put out fires and cut people out of cars | wherever the siren calls | courage
cook | chop, stir and taste | in the galley | sharp knives
tailor | measure, cut and sew | in a room full of cloth | pins
mechanic | take engines apart and put them together again | in the garage | oily rags
gardener | weed, water and prune | in the sun | a broad hat
lifeguard | watch the swimmers from a tower | on the beach | a whistle and a board
botanist | press leaves between sheets of paper | in the glasshouse | a hand lens
weather watcher | read the wind and the rain each hour | on the cape | a warm coat
auctioneer | sell cattle and cupboards to the highest bidder | in the market hall | a quick tongue
ferryman | pull a flat boat along a rope | on the inlet | two good arms
"""


def _rows(table: str) -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in line.split("|")) for line in table.strip().splitlines()]


ANIMALS, PLANTS, TOOLS, JOBS = (_rows(table) for table in (_ANIMALS, _PLANTS, _TOOLS, _JOBS))

_THIRD = {"have": "has", "do": "does", "go": "goes", "are": "is", "carry": "carries", "fly": "flies", "bury": "buries", "dry": "dries", "try": "tries"}  # fmt: skip


def third(phrase: str) -> str:
    """A plural verb phrase with its first verb in the third person singular: ``dig holes`` -> ``digs holes``.

    A second verb joined by "and" is bent too when it starts a part of its own (``boil water and stir`` stays a list of
    the first verb only if the next word is no verb of this table, so tables keep to one verb or to "and" plus verb).
    """
    first, _, rest = phrase.partition(" ")
    if first in _THIRD:
        bent = _THIRD[first]
    elif first.endswith(("s", "x", "z", "ch", "sh", "o")):
        bent = first + "es"
    elif first.endswith("y") and first[-2] not in "aeiou":
        bent = first[:-1] + "ies"
    else:
        bent = first + "s"
    return f"{bent} {rest}".strip()
