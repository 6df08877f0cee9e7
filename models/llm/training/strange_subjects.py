"""Questions that are not Tandem's business, composed of patterns and of subjects from all over the world of knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.llm.training.phrasing import expand

if TYPE_CHECKING:
    from random import Random

# fmt: off
SUBJECTS = (
    "electricity", "the steam engine", "the telephone", "the light bulb", "the telescope", "the microscope", "the bicycle", "radar", "the compass", "paper",
    "gunpowder", "the piano", "the violin", "glass", "concrete", "nylon", "aspirin", "insulin", "anaesthesia", "x-rays", "the periodic table", "radioactivity",
    "evolution", "entropy", "magnetism", "plate tectonics", "thermodynamics", "genetics", "DNA", "a cell", "a virus", "bacteria", "the heart", "the liver", "blood",
    "muscles", "the immune system", "cancer", "diabetes", "the flu", "a fever", "hiccups", "yawning", "laughter", "consciousness", "helicopters", "submarines",
    "rockets", "satellites", "wind turbines", "nuclear reactors", "solar panels", "a refrigerator", "a microwave", "a washing machine", "a diesel engine", "brakes",
    "elevators", "bridges", "skyscrapers", "tunnels", "dams", "batteries", "a camera", "the radio", "television", "the internet", "a search engine", "a laser",
    "rainbows", "thunder", "lightning", "hurricanes", "earthquakes", "tides", "glaciers", "deserts", "snow", "clouds", "comets", "galaxies", "Saturn", "Jupiter",
    "the big bang", "string theory", "the calculus", "geometry", "logarithms", "fractions", "zero", "infinity", "game theory",
    "democracy", "capitalism", "socialism", "feudalism", "the Renaissance", "the Vikings", "the Aztecs", "the Cold War", "the Magna Carta", "the Silk Road",
    "Buddhism", "Islam", "Christianity", "stoicism", "existentialism", "ethics", "psychology", "economics", "interest rates", "shares", "taxes", "insurance",
    "rent", "a divorce", "a contract", "copyright", "a passport", "a driving licence", "tennis", "golf", "rugby", "swimming", "boxing", "surfing", "chess openings",
    "opera", "ballet", "hip hop", "the guitar", "the drums", "a symphony", "impressionism", "sculpture", "photography", "poetry", "haiku", "a sonnet", "Hamlet",
    "Don Quixote", "Harry Potter", "anime", "comics", "a podcast", "fashion", "perfume", "tattoos", "chocolate", "honey", "garlic", "rice", "olive oil",
    "beer", "whisky", "mushroom soup", "sourdough", "barbecue", "tomatoes", "potatoes", "bananas", "orchids", "oak trees", "bamboo", "grass", "horses", "elephants",
    "sharks", "octopuses", "penguins", "spiders", "ants", "butterflies", "parrots", "snakes", "frogs", "wolves", "the Amazon", "the Alps", "the Nile", "Antarctica",
    "London", "Berlin", "New York", "Sydney", "Istanbul", "my garden", "my bicycle", "my landlord", "my sister", "my exam", "my back pain", "my neighbour", "a baby",
)
PATTERNS = (
    "who ((invented|built|made|designed|founded|started|came up with|thought of|first described|patented|named|studied)) ((it, I mean |)){s}?",
    "who is ((famous for|known for|the father of|an expert on|the best at|the god of)) {s}?",
    "how ((does|do)) {s} ((work|move|grow|form|begin|end|behave|help us|change|stay up|start|look|taste|smell))?",
    "how ((is|are)) {s} ((made|formed|grown|used|measured|taught|cured|built|repaired|cleaned|explained))?",
    "how ((old|big|far|deep|hot|fast|heavy|tall|rare|dear|dangerous)) ((is|are)) {s}?",
    "how ((do|can|should|would|does one)) ((I|you|we|somebody|)) ((fry|bake|peel|fix|clean|store|cut|carry|draw|stop|fold|feed|choose)) {s} ((|at home|properly|quickly))?",
    "how do {s} ((swim|sleep|breathe|hunt|grow|float|see|smell|talk|stay warm|find their way|jump))?",
    "how do I ((ask|tell|teach|thank|invite|forgive|convince)) ((my boss|a friend|my son|somebody|a girl)) ((about|for|to share|to visit|to bring)) {s}?",
    "what is the ((temperature|melting point|density|speed|height|size|mass|average age|record)) of {s}?",
    "((can|could|would|will)) you ((sing|dance|cook|play|draw|swim|dream|guess|play chess|read)) ((|with me|for me|about {s}|like {s}))?",
    "when is the ((next|first|last|best)) ((election|eclipse|holiday|train|bus|birthday|sunset|season|match)) ((|after {s}|in {s}|with {s}))?",
    "how much ((does|do)) {s} ((cost|weigh|matter))?", "how many ((kinds of|sorts of|people like|countries have|books on)) {s} ((are there|exist|do you know))?",
    "when ((was|were)) {s} ((invented|built|born|founded|made|first seen|popular|banned))?", "when did {s} ((begin|end|die out|appear|happen))?",
    "where ((is|are)) {s} ((found|made|from|located|buried|grown|))?", "where can I ((buy|see|learn|study|find|eat)) {s}?",
    "why ((is|are)) {s} ((so |)) ((important|blue|red|round|bad for us|famous|expensive|popular|rare|cold|dangerous|there))?",
    "why ((does|do|did)) {s} ((exist|fail|hurt|glow|fall|rise|matter|stop|happen))?", "why do ((people|we|children|animals)) ((need|fear|like|hate|study)) {s}?",
    "what ((is|are)) {s} ((|made of|used for|good for|called in Greek|worth))?", "what does {s} ((mean|do|look like|eat|sound like|cause))?",
    "what ((causes|moves|kills|protects|makes)) {s}?", "what ((happened to|do you think of|do you know about|can you say on)) {s}?",
    "what is the ((law|principle|history|purpose|future|origin|opposite|symbol|price|chemistry|meaning|science)) of {s}?",
    "((explain|describe|outline|teach me|summarise|define|discuss|introduce)) ((the principle of |the idea of |the basics of |the laws of |simply |in detail |)) {s}",
    "((explain|describe|show)) how ((you make|people use|one repairs|scientists see|we got)) {s}",
    "((write|compose|draft|make up)) ((a |a short |a long |a funny |a sad )) ((poem|story|song|essay|letter|tweet|blog post|speech|review|dialogue|joke)) ((about|on|for|with)) {s}",
    "((translate|spell|pronounce|rhyme)) {s} ((|into French|into Chinese|in Arabic|backwards|for me))", "((calculate|estimate|work out)) the ((weight|price|age|area|speed)) of {s}",
    "((give me|show me|find|list|name|suggest)) ((five|ten|some|three|a few|the best|good)) ((facts|books|films|jokes|tips|photos|quotes|recipes)) ((about|on|for|with)) {s}",
    "((is|are)) {s} ((real|safe|legal|healthy|alive|good for me|a scam|worth it|a planet|an animal|overrated|hard to learn))?",
    "((can|should|could|may)) ((I|we|dogs|children|a beginner)) ((eat|learn|own|trust|touch|sell|try|avoid)) {s}?", "do you ((like|know|believe in|prefer|have|want)) {s}?",
    "which is ((better|older|bigger|cheaper)), {s} or ((tea|gold|Spain|a cat|jazz|the moon))?", "((help me|teach me|advise me)) ((with|on|about)) {s}",
    "((I am|my wife is|we are)) ((afraid of|tired of|in love with|looking for|interested in|writing on)) {s}", "what if ((there were no|we had no|I lost)) {s}?",
    "((tell me|say)) ((something|a story|the truth|everything|a joke)) ((about|on)) {s}", "((was|were)) {s} ((invented|known|popular)) ((in Rome|before 1900|in China))?",
    "{s}", "{s}?", "{s} please", "((facts on|news about|history of|pictures of|lyrics of|recipe for|cure for|price of)) {s}",
)
# fmt: on


def strange(rng: Random, subject: str | None = None) -> str:
    """A question about `subject`, or about one of `SUBJECTS`."""
    text = expand(rng, rng.choice(PATTERNS)).format(s=subject or rng.choice(SUBJECTS))
    text = " ".join(text.split()).replace(" ?", "?")
    return text[:1].upper() + text[1:]
